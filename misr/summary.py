"""A plan in plain lines, and what came of it: for people, before and after a run."""

from __future__ import annotations

from misr.frame import UNSPECIFIED, Color
from misr.pipeline import AnyReader, Job
from misr.upscaler import Upscaler


def tags(color: Color) -> str:
    """The colour tags of a clip, for people who know H.273."""
    return f"matrix {color.matrix}, range {color.range}, primaries {color.primaries}, transfer {color.transfer}"


def describe(job: Job, up: Upscaler) -> list[str]:
    """The plan in plain lines: picture, colour, streams kept, converted, dropped, model."""
    i, e = job.info, job.encoding
    lines = [
        f"picture   {i.width}x{i.height} {i.codec} {i.pix_fmt} -> {e.width}x{e.height} {e.codec} {e.pix_fmt} in {job.fmt}",
        f"model     {up.card.name}, x{up.card.scale:g}, on {up.device} in {up.precision}, strength {up.strength:g}, "
        f"{'tiles of ' + str(up.tile) if up.tile else 'whole pictures'}, batch {up.batch}",
        *([f"chosen    {job.why}"] if job.why else []),
        f"colour    {tags(i.color)} -> {tags(e.color)} (H.273; 2, and range 0, are untagged and stay so)",
    ]
    if i.hdr:
        lines.append(f"hdr       {', '.join(k.lower().replace('_', ' ') for k, _ in i.hdr)} kept")
    if i.interlaced:
        lines.append(f"fields    interlaced ({i.interlaced}), deinterlaced with bwdif, one frame per frame")
    elif i.woven:
        lines.append(
            "note      the frames are flagged as interlaced and stay woven; put bwdif before, or say --deinterlace auto"
        )
    if i.rotation:
        lines.append(f"rotation  {i.rotation} degrees, kept as a tag")
    lines += [
        f"frames    {job.expected or 'unknown number'}, {float(i.rate):.3f} per second, "
        + (f"segments of {job.segment_frames}, resumable" if job.resumable else "one pass, not resumable")
    ]
    for s in job.streams:
        if s.action != "picture":
            fate = {"copy": "kept", "attach": "kept", "convert": f"becomes {s.codec}", "drop": "dropped"}[s.action]
            lines.append(f"stream {s.index}  {s.kind} {s.source}: {fate}" + (f" ({s.note})" if s.note else ""))
    if i.color.model == "yuv" and i.color.matrix == UNSPECIFIED and i.height < 720 <= e.height:
        lines.append(
            "note      the clip has no colour tags and grows past 720 lines, where some players guess BT.709 instead of BT.601; "
            "it stays untagged, as it came"
        )
    return lines + [f"note      {n}" for n in e.notes]


def outcome(job: Job, reader: AnyReader, up: Upscaler) -> tuple[str, ...]:
    """What a user should know after the run."""
    notes = (
        [
            f"{len(reader.damaged)} frames did not decode and repeat the one before them, "
            f"the first at {float(reader.damaged[0]):.3f} s"
        ]
        if reader.damaged
        else []
    )
    if up.reruns:
        notes.append(f"{up.reruns} pictures came out broken in {up.precision} and were made again in fp32")
    return tuple(notes)
