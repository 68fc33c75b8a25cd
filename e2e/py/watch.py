"""Watches by WHEP for some seconds: watch.py URL TOKEN SECONDS."""

import array
import asyncio
import sys
import time

import aiohttp
from aiortc import RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

from session import connect, end, tell


class Seen:
    """What came from one track."""

    def __init__(self):
        self.frames, self.last, self.gap, self.loud, self.width = 0, None, 0.0, 0.0, 0


async def look(track, seen):
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        now = time.monotonic()
        if seen.last is not None:
            seen.gap = max(seen.gap, now - seen.last)
        seen.last = now
        seen.frames += 1
        if track.kind == "video":
            seen.width = frame.width
        else:
            samples = array.array("h", bytes(frame.planes[0]))  # 16 bits, left and right in turn
            power = sum(sample * sample for sample in samples) / max(len(samples), 1)
            seen.loud = max(seen.loud, power**0.5 / 32768)


async def main(url: str, token: str, seconds: str):
    pc = RTCPeerConnection()
    seen = {"audio": Seen(), "video": Seen()}
    tasks = []

    @pc.on("track")
    def arrived(track):
        tasks.append(asyncio.ensure_future(look(track, seen[track.kind])))

    pc.addTransceiver("audio", direction="recvonly")
    pc.addTransceiver("video", direction="recvonly")
    async with aiohttp.ClientSession() as http:
        start = time.monotonic()
        location = await connect(pc, http, url, token)
        while seen["video"].frames == 0 and time.monotonic() - start < 15:
            await asyncio.sleep(0.02)
        tell(first=time.monotonic() - start)
        for one in seen.values():
            one.frames, one.last, one.gap = 0, None, 0.0
        await asyncio.sleep(float(seconds))
        video, audio = seen["video"], seen["audio"]
        tell(frames=video.frames, gap=video.gap, width=video.width, sounds=audio.frames, loud=audio.loud)
        await end(pc, http, location, token)


asyncio.run(main(*sys.argv[1:]))
