"""The command line: parses, calls one public function, prints. stdout is for data, stderr for people."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import Any

import typer

import misr
from misr.cli import (
    adapt,
    bench,
    compare,
    completion,
    doctor,
    eval,
    export,
    filter,
    fuse,
    import_,
    join,
    models,
    mos,
    options,
    progress,
    train,
    tune,
    upscale,
)

app = typer.Typer(
    name="misr",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Multi-frame super-resolution: a clip in, the same clip out, sharper; pictures of one place in, one out.",
)
for name, command in (
    ("upscale", upscale.upscale),
    ("join", join.join),
    ("filter", filter.filter),
    ("fuse", fuse.fuse),
    ("models", models.models),
    ("doctor", doctor.doctor),
    ("bench", bench.bench),
    ("eval", eval.evaluate),
    ("compare", compare.compare),
    ("train", train.train),
    ("adapt", adapt.adapt),
    ("tune", tune.tune),
    ("export", export.export),
    ("import", import_.import_),
):
    app.command(name)(command)
app.add_typer(mos.app, name="mos")
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        print(f"misr {misr.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
) -> None:
    """Options before the command."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    options.LINE[:] = args
    args, extra = split_extra(args)
    upscale.EXTRA[:] = filter.EXTRA[:] = extra
    if complaint := unknown_option(args):
        print(f"misr: {complaint}", file=sys.stderr)
        sys.exit(2)
    completion.mend_zsh()
    debug = "--debug" in args
    progress.begin()
    kind = "json" if progress.wants_json(args) else "none"
    try:
        app(args=args, prog_name="misr")
    except SystemExit as e:
        if e.code == INTERRUPTED:  # what typer makes of a KeyboardInterrupt, without a word
            progress.fail(interrupted(args), kind=kind)
            print(f"misr: {interrupted(args)}", file=sys.stderr)
        raise
    except Exception as e:
        if type(e).__name__ == "Interrupted":  # of misr.io.pipes, which is not loaded for `misr --help`
            progress.fail(interrupted(args), kind=kind)
            print(f"misr: {interrupted(args)}", file=sys.stderr)
            sys.exit(INTERRUPTED)
        progress.fail(str(e) or type(e).__name__, kind=kind)
        if debug or not isinstance(e, (misr.MisrError, OSError, MemoryError)):
            raise
        print(f"misr: {e}", file=sys.stderr)
        sys.exit(1)
    return 0


def interrupted(args: list[str]) -> str:
    """What Ctrl-C leaves behind."""
    if args[:1] == ["filter"]:
        return "interrupted; the stream ends here and is not whole"
    if args[:1] == ["compare"] or args[:2] == ["mos", "make"] or any(word.startswith("--preview") for word in args):
        return "interrupted; no page was written"
    if args[:1] == ["tune"]:
        return "interrupted; no sheet was drawn"
    if args[:1] == ["join"]:
        return "interrupted; all parts are kept, the same command joins them"
    if args[:1] not in (["upscale"], ["fuse"], ["train"], ["adapt"]):
        return "interrupted; nothing was written"
    return "interrupted; what was finished is kept, the same command goes on from there"


def split_extra(args: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after `--`."""
    if "--" not in args:
        return args, []
    at = args.index("--")
    return args[:at], args[at + 1 :]


def unknown_option(args: list[str]) -> str:
    """A complaint about an option no command has; click would take -xyz for -x -y -z."""
    command: Any = typer.main.get_command(app)
    if args and not args[0].startswith("-"):
        if args[0] not in command.commands:
            near = get_close_matches(args[0], command.commands, 1) or ["upscale"]
            return f"no command {args[0]!r}; did you mean `misr {near[0]}`? `misr --help` lists all"
        command, args = command.commands[args[0]], args[1:]
        if (inner := getattr(command, "commands", None)) and args[:1] and not args[0].startswith("-"):
            if args[0] not in inner:
                return f"misr {command.name} has no {args[0]!r}; it has {', '.join(inner)}"
            command, args = inner[args[0]], args[1:]
    takes_value = {
        name: not getattr(p, "is_flag", False)
        for p in command.params
        for name in (*p.opts, *p.secondary_opts)
        if name.startswith("-")
    }
    known = {*takes_value, "--help", "--install-completion", "--show-completion"}
    skip = False
    for arg in args:
        if skip:
            skip = False
            continue
        name = arg.split("=", 1)[0]
        if not arg.startswith("-") or arg == "-":
            continue
        if name not in known:
            near = get_close_matches(name, sorted(known), 3, 0.5) or ["--help"]
            return f"unknown option {name}; did you mean {' or '.join(near)}? Encoder options go after `--`"
        skip = takes_value.get(name, False) and "=" not in arg
    return ""


if __name__ == "__main__":
    main()
