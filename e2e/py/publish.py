"""Publishes a moving picture and a tone by WHIP: publish.py URL TOKEN SECONDS [h264]."""

import array
import asyncio
import fractions
import math
import sys

import aiohttp
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCRtpSender, VideoStreamTrack
from av import AudioFrame, VideoFrame

from session import connect, end, tell

RATE = 48000


class Picture(VideoStreamTrack):
    """A bar that wanders, 30 times a second."""

    count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(640, 360, "yuv420p")
        left = self.count * 8 % 600
        self.count += 1
        for plane, dark, light in zip(frame.planes, (60, 110, 120), (200, 60, 180)):
            scale = 640 // plane.width
            row = bytearray([dark]) * plane.line_size
            row[left // scale : (left + 40) // scale] = bytes([light]) * (40 // scale)
            plane.update(bytes(row) * plane.height)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A tone of 440 Hz."""

    async def recv(self):
        silence = await super().recv()
        samples = RATE // 50
        start = (silence.pts * RATE // silence.sample_rate) % RATE
        wave = array.array("h", (int(9000 * math.sin(2 * math.pi * 440 * (start + i) / RATE)) for i in range(samples)))
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate = RATE
        frame.pts = silence.pts * RATE // silence.sample_rate
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


async def main(url: str, token: str, seconds: str, codec: str = "vp8"):
    pc = RTCPeerConnection()
    pc.addTrack(Tone())
    pc.addTrack(Picture())
    video = pc.getTransceivers()[1]
    wanted = {f"video/{codec}", "video/rtx"}
    video.setCodecPreferences(
        [one for one in RTCRtpSender.getCapabilities("video").codecs if one.mimeType.lower() in wanted]
    )
    async with aiohttp.ClientSession() as http:
        location = await connect(pc, http, url, token)
        await asyncio.sleep(float(seconds))
        for report in (await video.sender.getStats()).values():
            if report.type == "outbound-rtp":
                tell(packets=report.packetsSent, bytes=report.bytesSent)
        await end(pc, http, location, token)


asyncio.run(main(*sys.argv[1:]))
