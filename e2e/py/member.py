"""A member of a meeting by the Python SDK: takes commands as lines of JSON, answers each, and notes what happens.

`{"id": 1, "op": "join", …}` is answered by `{"id": 1, "value": …}` or `{"id": 1, "error": "…"}`. The commands are those of
`page/member.js` and `node/member.mjs`, so that a scenario does not ask what kind of member it has.
"""

import asyncio
import json
import os
import sys
import time

import numpy
from livekit import rtc

RATE = 48_000
SOURCES = {
    "camera": rtc.TrackSource.SOURCE_CAMERA,
    "microphone": rtc.TrackSource.SOURCE_MICROPHONE,
    "screen_share": rtc.TrackSource.SOURCE_SCREENSHARE,
}
NAMES = {number: name for name, number in SOURCES.items()}


def painted(colour, width, height, count):
    """One colour, with a small square that moves so that no two pictures are the same."""
    pixels = numpy.empty((height, width, 4), numpy.uint8)
    pixels[:] = (*colour, 255)
    left = 8 * (count % (width // 8 - 1))
    pixels[0:8, left : left + 8] = 255
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels.tobytes())


class Heard:
    """The last second of a sound."""

    def __init__(self):
        self.samples, self.frames = numpy.zeros(0, numpy.int16), 0

    def take(self, frame):
        self.frames += 1
        self.samples = numpy.concatenate([self.samples, numpy.frombuffer(frame.data, numpy.int16)])[-RATE:]

    def read(self):
        if len(self.samples) < RATE:
            return {"frames": self.frames, "loud": 0, "tone": 0}
        wave = self.samples / 32768
        return {
            "frames": self.frames,
            "loud": float(numpy.sqrt(numpy.mean(wave**2))),
            "tone": int(numpy.argmax(numpy.abs(numpy.fft.rfft(wave)))),
        }


class Seen:
    """The last picture of a video: its size, and the colour of its middle."""

    def __init__(self):
        self.frames, self.width, self.height, self.colour = 0, 0, 0, [0, 0, 0]

    def take(self, frame):
        self.frames += 1
        self.width, self.height = frame.width, frame.height
        pixels = numpy.frombuffer(frame.data, numpy.uint8).reshape(frame.height, frame.width, 4)
        middle = pixels[frame.height // 2 - 4 : frame.height // 2 + 4, frame.width // 2 - 4 : frame.width // 2 + 4, :3]
        self.colour = [int(part) for part in middle.mean(axis=(0, 1))]

    def read(self):
        return vars(self)


class Member:
    def __init__(self):
        self.room = rtc.Room()
        self.noted = []
        self.received = {}
        self.tasks = set()
        self.publications = {}
        self.streams = {}
        self.data_tracks = {}
        room = self.room
        room.on("participant_connected", lambda one: self.note("ParticipantConnected", one))
        room.on("participant_disconnected", lambda one: self.note("ParticipantDisconnected", one))
        room.on("track_published", lambda track, one: self.note("TrackPublished", one, source=NAMES[track.source]))
        room.on("track_unpublished", lambda track, one: self.note("TrackUnpublished", one, source=NAMES[track.source]))
        room.on("track_muted", lambda one, track: self.note("TrackMuted", one, source=NAMES[track.source]))
        room.on("track_unmuted", lambda one, track: self.note("TrackUnmuted", one, source=NAMES[track.source]))
        room.on("active_speakers_changed", lambda all: self.note("ActiveSpeakersChanged", speakers=[one.identity for one in all]))
        room.on("data_received", self.data)
        room.on("data_track_published", lambda track: self.data_tracks.update({(track.publisher_identity, track.info.name): track}))
        room.on("sip_dtmf_received", lambda dialled: self.note("Dialled", dialled.participant, digit=dialled.digit))
        room.on("reconnecting", lambda: self.note("Reconnecting"))
        room.on("reconnected", lambda: self.note("Reconnected"))
        room.on("disconnected", lambda reason: self.note("Disconnected", reason=reason))
        room.on("track_subscribed", self.subscribed)
        room.on("track_unsubscribed", lambda track, publication, one: self.note("TrackUnsubscribed", one, source=NAMES[publication.source]))
        room.register_text_stream_handler("chat", lambda reader, identity: self.spawn(self.take_text(reader, identity)))
        room.register_byte_stream_handler("files", lambda reader, identity: self.spawn(self.take_file(reader, identity)))

    def spawn(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def note(self, name, one=None, **facts):
        self.noted.append({"name": name, **({"identity": one.identity} if one else {}), **facts})

    def data(self, packet):
        self.note("DataReceived", packet.participant, text=packet.data.decode(), topic=packet.topic, reliable=packet.kind == rtc.DataPacketKind.KIND_RELIABLE)

    async def take_text(self, reader, identity):
        self.noted.append({"name": "Text", "identity": identity, "text": await reader.read_all()})

    async def take_file(self, reader, identity):
        whole = b"".join([part async for part in reader])
        self.noted.append({"name": "File", "identity": identity, "length": len(whole), "sum": sum(whole)})

    def subscribed(self, track, publication, one):
        source = NAMES[publication.source]
        self.note("TrackSubscribed", one, source=source)
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        # A track that is there again after a reconnect begins to count anew.
        self.received[one.identity, source] = seen = Seen() if video else Heard()
        if video:
            stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA, capacity=2)
        else:
            stream = rtc.AudioStream(track, sample_rate=RATE)
        self.spawn(self.receive(stream, seen))

    async def receive(self, stream, seen):
        async for event in stream:
            seen.take(event.frame)
        await stream.aclose()

    def publication(self, identity, source):
        one = self.room.remote_participants[identity]
        return next(track for track in one.track_publications.values() if NAMES[track.source] == source)

    # The commands.

    async def join(self, url, token, key=None, dynacast=False, single=True):
        options = rtc.RoomOptions(dynacast=dynacast, single_peer_connection=single)
        if key:
            options.encryption = rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key.encode()))
        start = time.monotonic()
        await self.room.connect(url, token, options)
        self.room.local_participant.register_rpc_method("add", self.add)
        return 1000 * (time.monotonic() - start)

    async def add(self, call):
        return f"{call.caller_identity} {sum(json.loads(call.payload))}"

    async def picture(self, colour, width=320, height=180, fps=10, source="camera", simulcast=False, codec="vp8"):
        video = rtc.VideoSource(width, height, is_screencast=source == "screen_share")

        async def paint():
            count = 0
            while True:
                video.capture_frame(painted(colour, width, height, count))
                count += 1
                await asyncio.sleep(1 / fps)

        track = rtc.LocalVideoTrack.create_video_track(source, video)
        codec = {"vp8": rtc.VideoCodec.VP8, "h264": rtc.VideoCodec.H264}[codec]
        options = rtc.TrackPublishOptions(source=SOURCES[source], simulcast=simulcast, video_codec=codec)
        painting = self.spawn(paint())
        self.publications[source] = await self.room.local_participant.publish_track(track, options), painting

    async def sound(self, tone):
        # So much ahead that a busy machine does not tear it.
        audio = rtc.AudioSource(RATE, 1, queue_size_ms=1000)

        async def play():
            size, at = RATE // 10, 0
            while True:
                wave = 8000 * numpy.sin(2 * numpy.pi * tone * numpy.arange(at, at + size) / RATE)
                at = (at + size) % RATE
                await audio.capture_frame(rtc.AudioFrame(wave.astype(numpy.int16).tobytes(), RATE, 1, size))

        track = rtc.LocalAudioTrack.create_audio_track("sound", audio)
        options = rtc.TrackPublishOptions(source=SOURCES["microphone"])
        playing = self.spawn(play())
        self.publications["microphone"] = await self.room.local_participant.publish_track(track, options), playing

    async def unpublish(self, source):
        publication, work = self.publications.pop(source)
        await self.room.local_participant.unpublish_track(publication.sid)
        work.cancel()

    async def mute(self, source, muted):
        track = self.publications[source][0].track
        track.mute() if muted else track.unmute()

    async def look(self, identity, source):
        seen = self.received.get((identity, source))
        return seen.read() if seen else {"frames": 0}

    async def encodings(self):
        stats = await self.publications["camera"][0].track.get_stats()
        sent = [one.outbound_rtp for one in stats if one.WhichOneof("stats") == "outbound_rtp"]
        return [{"rid": one.outbound.rid, "active": one.outbound.active, "frames": one.outbound.frames_encoded, "width": one.outbound.frame_width} for one in sent]

    async def subscribe(self, identity, source, wanted):
        self.publication(identity, source).set_subscribed(wanted)

    async def quality(self, identity, quality):
        self.publication(identity, "camera").set_video_quality(quality)

    async def say(self, text, reliable=True, to=(), topic=""):
        await self.room.local_participant.publish_data(text, reliable=reliable, destination_identities=list(to), topic=topic)

    async def dial(self, code, digit):
        await self.room.local_participant.publish_dtmf(code=code, digit=digit)

    async def write(self, text, to=()):
        await self.room.local_participant.send_text(text, topic="chat", destination_identities=list(to))

    async def file(self, length, to=()):
        data = bytes(index % 251 for index in range(length))
        await self.room.local_participant.send_bytes(data, topic="files", name="file", destination_identities=list(to))

    async def call(self, to, payload, method="add"):
        return await self.room.local_participant.perform_rpc(destination_identity=to, method=method, payload=payload)

    async def stream(self, name, length=100):
        track = await self.room.local_participant.publish_data_track(name=name)
        self.streams[name] = track

        async def send():
            while track.is_published():
                track.try_push(rtc.DataTrackFrame(payload=bytes([7] * length)))
                await asyncio.sleep(0.05)

        self.spawn(send())

    async def stopStream(self, name):
        await self.streams[name].unpublish()

    async def follow(self, identity, name):
        while (identity, name) not in self.data_tracks:
            await asyncio.sleep(0.05)
        frames = self.data_tracks[identity, name].subscribe()

        async def take():
            async for frame in frames:
                self.noted.append({"name": "Frame", "identity": identity, "text": f"{name} {len(frame.payload)} {frame.payload[-1]}"})
            self.noted.append({"name": "FramesEnded", "identity": identity})

        self.spawn(take())

    async def describe(self, name=None, metadata=None, attributes=None):
        local = self.room.local_participant
        if name is not None:
            await local.set_name(name)
        if metadata is not None:
            await local.set_metadata(metadata)
        if attributes is not None:
            await local.set_attributes(attributes)

    async def roster(self):
        def tracks(one):
            return [
                {"sid": track.sid, "source": NAMES[track.source], "muted": track.muted, "subscribed": track.subscribed}
                for track in one.track_publications.values()
            ]

        return [
            {"identity": one.identity, "name": one.name, "metadata": one.metadata, "attributes": one.attributes, "tracks": tracks(one)}
            for one in self.room.remote_participants.values()
        ]

    async def events(self, name=None):
        return [one for one in self.noted if name in (None, one["name"])]

    async def simulate(self, scenario):
        kind = getattr(rtc.SimulateScenarioKind, f"SIMULATE_{scenario.replace('-', '_').upper()}")
        await self.room.simulate_scenario(kind)

    async def leave(self):
        await self.room.disconnect()


async def main():
    member = Member()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def answer(line):
        command = json.loads(line)
        number, op = command.pop("id"), command.pop("op")
        try:
            told = {"id": number, "value": await getattr(member, op)(**command)}
        except Exception as error:  # Whatever it is, the scenario wants to know.
            told = {"id": number, "error": f"{type(error).__name__}: {getattr(error, 'message', error)}"}
        print(json.dumps(told), flush=True)

    while line := await reader.readline():
        member.spawn(answer(line))
    if member.room.isconnected():
        await asyncio.wait_for(member.leave(), 1)
    # Without taking the threads of the SDK down one by one.
    os._exit(0)


asyncio.run(main())
