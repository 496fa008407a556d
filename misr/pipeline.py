"""The main path: plan, render, join. A clip in, the same clip out, sharper.

    reader -> frames -> Session (windows -> net) -> frames -> encoder -> segments -> join

A clip is rendered in segments of a fixed number of frames, each stored whole in a journal directory beside the output. A crash
loses at most the segment in flight; the same command run again goes on after the last whole one; the final name appears only
when everything is in it. Pipes and animations, which cannot be resumed, go straight into the output.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Any

from misr.ahead import Clock, prefetch, timed
from misr.errors import InputError, OutputError
from misr.frame import Frame
from misr.io.choice import hdr_numbers
from misr.io.encoder import Encoder, Encoding
from misr.io.headers import hdr
from misr.io.opening import open_input
from misr.io.output import Output, Span, other_packets
from misr.io.pictures import (
    PICTURE_CODEC,
    AnimationReader,
    SequenceReader,
    is_sequence,
    picture_suffix,
    sequence_name,
    write_picture,
)
from misr.io.pipes import TELLS_SHAPE, PipeOut
from misr.io.reader import ClipInfo, Reader
from misr.io.segments import Segment, decoding_times, read_segment, segment_packets, write_segment
from misr.io.streams import StreamPlan, track_number
from misr.journal import Journal, journal_path
from misr.upscaler import Upscaler

SEGMENT_S = 10
AnyReader = Reader | SequenceReader | AnimationReader
Progress = Callable[[int, int], None]  # frames done, frames expected (0: unknown)


@dataclass(frozen=True, slots=True)
class Job:
    """A plan, ready to run: what is read, how it is made sharper, what is written and where."""

    source: str
    target: str
    fmt: str
    info: ClipInfo
    encoding: Encoding
    streams: tuple[StreamPlan, ...]
    span: Span
    why: str = ""  # the model is this one, where misr chose it
    identity: dict[str, Any] = field(default_factory=dict)  # everything that decides the pixels, for the journal
    asked: dict[str, Any] = field(default_factory=dict)  # what planning it anew takes, for `misr join`

    @property
    def segment_frames(self) -> int:
        """Frames of a segment before it is rounded to the model's chunks."""
        return max(1, round(self.info.rate * SEGMENT_S))

    @property
    def expected(self) -> int:
        """How many frames there will be, as far as the file tells; 0 when unknown."""
        if self.span.start is None and self.span.end is None:
            return self.info.frames
        if self.info.duration is None:
            return 0
        end = min(self.span.end or self.info.start + self.info.duration, self.info.start + self.info.duration)
        return max(0, round((end - max(self.span.origin, self.info.start)) * self.info.rate))

    @property
    def resumable(self) -> bool:
        """Files can be; pipes, animations, raw pictures (too large to keep twice) and VP9 with alpha (two in one) cannot."""
        alpha = self.encoding.color.alpha and self.encoding.codec.startswith("libvpx")
        pointers = self.encoding.codec == "wrapped_avframe"  # its packets are addresses of frames
        return (
            "-" not in (self.source, self.target)
            and self.fmt not in ("gif", "apng", "webp")
            and self.encoding.codec != "rawvideo"
            and not alpha
            and not pointers
        )


def run(
    job: Job, reader: AnyReader, up: Upscaler, *, progress: Progress | None = None, say: Callable[[str], None] = print
) -> int:
    """Carry a job out; the number of frames written. Raises MisrError; then nothing stands under the final name."""
    tell = progress or (lambda done, expected: None)
    if job.fmt == "image2":
        return render_pictures(job, reader, up, tell, say)
    return render_segments(job, reader, up, tell, say) if job.resumable else render_through(job, reader, up, tell, say)


def sharp(
    up: Upscaler, frames: Iterable[Frame], job: Job, *, first: int = 0, begin: int = 0, end: int | None = None
) -> Iterator[Frame]:
    """The wanted sharp frames of a run of frames that begins at number `first`."""
    size = job.encoding.width, job.encoding.height
    session = up.session(out=job.encoding.color, size=size, first=first, begin=begin, end=end)
    for frame in frames:
        yield from session.push(frame)
    yield from session.flush()


def render_segments(job: Job, reader: AnyReader, up: Upscaler, progress: Progress, say: Callable[[str], None]) -> int:
    """Render what the journal lacks, then join it all under the final name."""
    with closing(Journal(journal_path(job.target), job.identity, job.asked)) as journal:
        size = chunked(job.segment_frames, up.card.emit)
        done = journal.open(say)
        complete = journal.finished == len(done)  # fewer are found where one was damaged since
        if done and not complete:
            planned = max(len(done) + 1, -(-job.expected // size)) if job.expected else "?"
            say(f"resuming at segment {len(done) + 1} of {planned}")
        if done and complete:
            say("resuming at the join, every segment is there")
        if not complete:
            times = [t for s in done for t in s.times]
            part = Part(len(times), since=times[-up.card.context :][0] if times else None)
            done += rendered(job, reader, up, size, part, progress, journal.segment)
            journal.finish(len(done))
        return concluded(job, journal, done)


def concluded(job: Job, journal: Journal, segments: list[Segment]) -> int:
    """Join all segments under the final name and forget the journal; the number of frames."""
    total = sum(len(s.times) for s in segments)
    if total == 0:
        journal.remove()
        raise InputError(
            f"{job.source}: no frame between -ss and -to; the clip lasts {float(job.info.duration or 0):.2f} s"
        )
    join(job, segments, journal.path / f"joined.{job.fmt}")
    os.replace(journal.path / f"joined.{job.fmt}", job.target)
    journal.remove()
    return total


def chunked(frames: int, emit: int) -> int:
    """Frames of a segment: a multiple of the model's chunk."""
    return max(1, round(frames / emit)) * emit


@dataclass(frozen=True, slots=True)
class Part:
    """Frames begin <= number < end of the output (None: to the clip's end), to be rendered on their own.

    since     time of the frame `context` before the first; None: the clip's beginning
    """

    begin: int = 0
    end: int | None = None
    since: Fraction | None = None


def rendered(
    job: Job,
    reader: AnyReader,
    up: Upscaler,
    size: int,
    part: Part,
    progress: Progress,
    place: Callable[[int], Path],
    clock: Clock | None = None,
) -> Iterator[Segment]:
    """The segments of a part, `size` frames each, every one stored at place(its first frame) as it is finished.

    Decoder, net and encoder overlap; `clock` counts how long each was at work. progress counts the clip's frames up to the
    present one.
    """
    clock = clock or Clock()
    first = max(0, part.begin - up.card.context)
    most = None if part.end is None else part.end + up.card.after - first
    frames = timed(reader.frames(part.since if first else None), clock.decoding)
    with closing(prefetch(frames)) as decoded:
        views = timed(islice(decoded, most), clock.modelling, -1)
        pictures = timed(sharp(up, views, job, first=first, begin=part.begin, end=part.end), clock.modelling)
        with closing(prefetch(pictures)) as ready:
            count = part.begin
            while (made := segment_of(job, islice(ready, size), count, progress, place, clock)) is not None:
                count += len(made.times)
                yield made


def segment_of(
    job: Job,
    frames: Iterable[Frame],
    begin: int,
    progress: Progress,
    place: Callable[[int], Path],
    clock: Clock,
) -> Segment | None:
    """One segment that begins at frame number `begin`, encoded and stored; None where there is no frame."""
    times, encoder = list[Fraction](), Encoder(job.encoding)
    packets: list[Any] = []
    for frame in frames:
        began = time.perf_counter()
        packets += encoder.push(frame, origin=job.span.origin)
        times.append(frame.time)
        clock.encoding(time.perf_counter() - began)
        progress(begin + len(times), job.expected)
    if not times:
        return None
    began = time.perf_counter()
    packets += encoder.flush()
    check_count(job, len(times), len(packets))
    path = place(begin)
    write_segment(path, begin, times, packets, job.encoding.time_base, encoder.extradata)
    clock.encoding(time.perf_counter() - began)
    stored = read_segment(path)
    assert stored is not None
    return stored


def check_count(job: Job, frames: int, packets: int) -> None:
    """n frames in is n packets out, or an error."""
    if packets != frames:
        raise OutputError(
            f"{job.encoding.codec} made {packets} packets of {frames} frames; choose another -c:v or drop "
            "its extra options"
        )


def join(job: Job, segments: list[Segment], target: Path) -> None:
    """All segments and the source's other streams into one file, by packet copy."""
    extradata = {s.extradata for s in segments}
    if len(extradata) > 1:
        raise OutputError(
            f"segments of {job.target} were encoded with different settings; remove {target.parent} and run again"
        )
    dts = iter(decoding_times([p for s in segments for p in s.pts]))
    with opened(job) or nullcontext() as source:
        others = other_packets(job.source, job.streams, job.info.video_index)
        output = Output(str(target), job.fmt, job.encoding, job.info, job.streams, source, span=job.span, others=others)
        try:
            for segment in segments:
                for packet in segment_packets(segment):
                    packet.dts = next(dts)
                    output.picture(packet)
            output.close()
        except BaseException:
            output.abandon()
            target.unlink(missing_ok=True)
            raise


def opened(job: Job) -> Any:
    """The source's container, for its tags and other streams; None for pictures, which have neither."""
    return None if job.info.container == "image2" else open_input(job.source)


def render_through(job: Job, reader: AnyReader, up: Upscaler, progress: Progress, say: Callable[[str], None]) -> int:
    """One pass from reader to output, for pipes and animations; a file appears under its name when it is whole."""
    part = None if job.target == "-" else Path(job.target).with_name(f".{Path(job.target).name}.part")
    raw = job.encoding.codec == "rawvideo" and job.fmt in TELLS_SHAPE
    light = hdr(*hdr_numbers(job.info))
    pipe = PipeOut(track_number(job.streams), job.encoding.sar, light, path=part) if part is None or raw else None
    others = other_packets(job.source, job.streams, job.info.video_index) if job.source != "-" else None
    source = reader.container if job.source == "-" and isinstance(reader, Reader) else opened(job)
    output = Output(
        pipe or str(part), job.fmt, job.encoding, job.info, job.streams, source, span=job.span, others=others
    )
    try:
        if others is None and isinstance(reader, Reader):
            reader.on_packet = output.other
        count = passed(job, reader, up, output, progress, say)
        output.close()
        if pipe:
            pipe.finish()
        if isinstance(reader, Reader) and reader.broken_off:
            raise InputError(
                f"standard input broke off in the middle of a frame; the {count} frames before it came out"
            )
        if count == 0:
            raise InputError(f"{job.source}: no frame in the span that was asked for")
        if part is not None:
            os.replace(part, job.target)
    except BaseException:
        if pipe:
            pipe.give_up()
        output.abandon()
        if pipe:
            pipe.finish()
        if part is not None:
            part.unlink(missing_ok=True)
        raise
    return count


def passed(
    job: Job, reader: AnyReader, up: Upscaler, output: Output, progress: Progress, say: Callable[[str], None]
) -> int:
    """Every frame through model and encoder into the output; how many. Decoder, net and encoder overlap."""
    encoder, count, first, uneven = Encoder(job.encoding), 0, Fraction(0), False
    with closing(prefetch(reader.frames())) as decoded, closing(prefetch(sharp(up, decoded, job))) as ready:
        try:
            for frame in ready:
                for packet in encoder.push(frame, origin=job.span.origin):
                    output.picture(packet)
                first = frame.time if count == 0 else first
                uneven |= abs((frame.time - first) * job.encoding.rate - count) > 1
                count += 1
                progress(count, job.expected)
        except BaseException:
            if isinstance(reader, Reader):
                reader.stop()  # its thread may be waiting for a pipe that says nothing
            raise
    for packet in encoder.flush():
        output.picture(packet)
    if job.encoding.counted and uneven:
        say(
            f"note      {job.fmt} holds one frame rate, and the times of these frames are not even; matroska and nut hold them"
        )
    return count


def render_pictures(job: Job, reader: AnyReader, up: Upscaler, progress: Progress, say: Callable[[str], None]) -> int:
    """One picture, or one file per frame; a sequence waits in the journal until it is whole, and resumes there."""
    several = is_sequence(job.target) or Path(job.target).suffix.lower() not in PICTURE_CODEC
    files = getattr(reader, "files", [])
    suffix = picture_suffix(job.target, files)
    with closing(Journal(journal_path(job.target), job.identity)) as journal:
        journal.open(say)
        total = journal.finished or journal_pictures(job, reader, up, journal, suffix, progress, say, several=several)
        if several and "%" not in Path(job.target).name:
            Path(job.target).mkdir(exist_ok=True)
        for n in range(total):
            if (picture := journal.picture(n, suffix)).exists():  # not where a run was stopped just here
                os.replace(picture, sequence_name(job.target, files, n, suffix) if several else job.target)
        journal.remove()
    return total


def journal_pictures(
    job: Job,
    reader: AnyReader,
    up: Upscaler,
    journal: Journal,
    suffix: str,
    progress: Progress,
    say: Callable[[str], None],
    *,
    several: bool,
) -> int:
    """Fill the journal with the pictures it lacks; how many there are now."""
    begin = next(n for n in count_from(0) if not journal.picture(n, suffix).exists()) // up.card.emit * up.card.emit
    if begin:
        say(f"resuming at picture {begin + 1} of {job.expected or '?'}")
    first = max(0, begin - up.card.before)
    times = reader.frames() if not begin else islice(reader.frames(), first, None)
    total = begin
    with (
        closing(prefetch(times)) as decoded,
        closing(prefetch(sharp(up, decoded, job, first=first, begin=begin))) as ready,
    ):
        for frame in ready:
            if total == 1 and not several:
                journal.remove()
                raise InputError(
                    f"{job.source} holds several pictures and {job.target} is one; name a folder, a pattern such as "
                    "out_%05d.png, or an animation (.gif .apng .webp)"
                )
            write_picture(journal.picture(total, suffix), frame, job.encoding)
            total += 1
            progress(total, job.expected)
    if total == 0:
        journal.remove()
        raise InputError(f"{job.source}: no frame in the span that was asked for")
    journal.finish(total)
    return total


__all__ = ["AnyReader", "Job", "Progress", "prefetch", "run"]
