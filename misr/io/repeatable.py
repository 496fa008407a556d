"""What an encoder must be told so that it makes the same packets on every machine, in every run.

Asked for 0 threads, encoders take as many as the machine has cores, and some cut their pictures, or what they know of them, by
that number: a clip rendered on two machines would be of two kinds. So the number is settled once, before the first frame, as the
one that 0 comes to here. All others (SVT-AV1, VP9, FFV1, ProRes, DNxHD ...) make the same packets with any number of threads.

x264, moreover, weighs blocks by their future (mb-tree) with vector code that reads memory it has not written, and that differs
between processors; `cpu-independent` takes the plain code instead. x265 writes into its header which kind of processor it ran on,
and segments are joined only under one header.
"""

from __future__ import annotations

from dataclasses import replace

from misr.io.encoder import Encoding, find_encoder
from misr.machine import cores

X264 = {"libx264", "libx264rgb"}
PLAIN = {  # parameters that leave the machine out
    "libx264": ("x264-params", "cpu-independent=1"),
    "libx264rgb": ("x264-params", "cpu-independent=1"),
    "libx265": ("x265-params", "info=0"),
}
CUT_BY_THREADS = {  # libavcodec's: a slice for every thread, or (mjpeg) other code tables as soon as there are several
    "h263p",
    "magicyuv",
    "mjpeg",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
}
MOST_THREADS = 16  # that libavcodec takes by itself, for its own encoders and for libvpx
FRAME_THREADS = ((32, 5), (16, 4), (8, 3), (4, 2), (1, 1))  # x265: cores from which on it takes so many


def repeatable(it: Encoding, *, begun_with: int = 0) -> Encoding:
    """The Encoding told all that its encoder would else take from the machine or from chance; what it says itself stays.

    begun_with   threads of an interrupted run that is to be gone on with, perhaps on another machine; 0: there is none
    """
    name = find_encoder(it.codec).name  # h264 is another name for libx264
    options = dict(it.options)
    if name in PLAIN:
        key, plain = PLAIN[name]
        options[key] = ":".join(filter(None, [plain, options.get(key)]))  # of two that contradict, the last counts
    threads = it.threads or begun_with or own_threads(name, it.height)
    return replace(it, threads=threads, options=tuple(sorted(options.items())))


def own_threads(name: str, height: int) -> int:
    """What 0 threads come to on this machine, for an encoder whose packets depend on it; 0 for all others.

    x264 slices its pictures, as PyAV opens it, and takes fewer where they are low.
    """
    have = cores()
    if name in X264:
        return have
    if name == "libx265":
        return next(n for least, n in FRAME_THREADS if have >= least) + (have >= 32 and height > 2000)
    if name == "libvpx":
        return min(have, MOST_THREADS)
    if name in CUT_BY_THREADS:
        return min(have + 1, MOST_THREADS) if have > 1 else 1
    return 0
