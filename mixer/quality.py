"""Judges the files that the example `quality` has written: PESQ (ITU-T P.862.2, wide band), against `clean.wav`.

    quality.py lossy FOLDER...   prints one row for each way, one column for each percentage of loss, with the mean delay in ms
    quality.py coding FOLDER...  prints one row for each scene and way, one column for each bit rate; then µs and kbit/s
"""

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


def judged(folders):
    """Of each file of each folder: the folder, what its name says, and its score."""
    for folder in map(Path, folders):
        clean = sound(folder / "clean.wav")
        for path in sorted(folder.glob("*-*.wav")):
            yield folder, path.stem.split("-"), pesq(RATE, clean, sound(path), "wb")


def head(first, columns):
    print(f"| {first} |" + "".join(f" {column} |" for column in columns))
    print("|---|" + "---|" * len(columns))


def lossy(folders):
    scores, delays = {}, {}
    for _, (way, loss, delay), score in judged(folders):
        scores.setdefault(way, {}).setdefault(int(loss), []).append(score)
        delays.setdefault(way, {}).setdefault(int(loss), []).append(int(delay))
    losses = sorted(scores["plain"])
    head("lost", [f"{loss} %" for loss in losses])
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


def coding(folders):
    scores, costs = {}, {}
    for folder, (way, kilobits, cost, took), score in judged(folders):
        scene = folder.name.split("-")[0]
        scores.setdefault((scene, way), {}).setdefault(int(kilobits), []).append(score)
        costs.setdefault(way, {}).setdefault(int(kilobits), []).append((int(cost), int(took)))
    rates = sorted(scores["one", "voice"])
    head("kbit/s", rates)
    for scene in ("one", "two", "noise", "music"):
        for way in costs:
            cells = (numpy.mean(scores[scene, way][rate]) for rate in rates)
            print(f"| {scene}, {way} |" + "".join(f" {score:.2f} |" for score in cells))
    for way in costs:
        cells = (numpy.mean(costs[way][rate], axis=0) for rate in rates)
        print(f"| µs, {way} |" + "".join(f" {cost:.0f} ({took:.0f} kbit/s) |" for cost, took in cells))


{"lossy": lossy, "coding": coding}[sys.argv[1]](sys.argv[2:])
