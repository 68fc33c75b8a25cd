"""Judges the files that the example `lossy` has written: PESQ (ITU-T P.862.2, wide band), against `clean.wav`.

    quality.py FOLDER...        prints one row for each way, one column for each percentage of loss, with the mean delay in ms
"""

import re
import sys
import wave
from pathlib import Path

import numpy
from pesq import pesq

RATE = 16000


def sound(path):
    """The samples of a file of 16-bit mono at 48 kHz, at 16 kHz."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == 3 * RATE and file.getnchannels() == 1
        samples = numpy.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768.0
    # A windowed sinc at a third of the band, then every third sample.
    at = numpy.arange(-48, 49)
    low = numpy.sinc(at * 0.95 / 3) * numpy.hamming(len(at))
    return numpy.convolve(samples, low / low.sum(), "same")[::3]


def main():
    scores, delays = {}, {}
    for folder in map(Path, sys.argv[1:]):
        clean = sound(folder / "clean.wav")
        for path in folder.glob("*-*.wav"):
            way, loss, delay = re.fullmatch(r"(\w+)-(\d+)-(\d+)\.wav", path.name).groups()
            score = pesq(RATE, clean, sound(path), "wb")
            scores.setdefault(way, {}).setdefault(int(loss), []).append(score)
            delays.setdefault(way, {}).setdefault(int(loss), []).append(int(delay))
    losses = sorted(scores["plain"])
    print("| lost |" + "".join(f" {loss} % |" for loss in losses))
    print("|---|" + "---|" * len(losses))
    for way in ("plain", "told", "playout", "fec", "red", "both"):
        cells = ((numpy.mean(scores[way][loss]), numpy.mean(delays[way][loss])) for loss in losses)
        print(f"| {way} |" + "".join(f" {score:.2f} ({delay:.0f} ms) |" for score, delay in cells))
    # Without redundancy, all that either has is the concealment of the codec.
    worse = [
        f"{way} at {loss} %"
        for way in ("fec", "red", "both")
        for loss in losses
        if numpy.mean(scores[way][loss]) <= numpy.mean(scores["plain"][loss])
    ]
    if worse:
        sys.exit("not better than a plain buffer: " + ", ".join(worse))


main()
