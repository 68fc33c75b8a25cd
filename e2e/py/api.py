"""Calls of the server API by the Python SDK, which speaks protobuf: takes them as lines of JSON, answers each.

`{"id": 1, "op": "CreateRoom", "request": {…}}` is answered by `{"id": 1, "value": …}` with the answer, or with
`{"refused": code}`.
"""

import asyncio
import json
import re
import sys

from google.protobuf.json_format import MessageToDict, ParseDict
from livekit import api
from livekit.api import room_service
from livekit.protocol import egress, room


async def perform_rpc(lk, request):
    """The SDK has no method for this one yet, but all that such a method would use."""
    header = lk.room._auth_header(api.VideoGrants(room_admin=True, room=request.room))
    return await lk.room._client.request(room_service.SVC, "PerformRpc", request, header, room.PerformRpcResponse)


REQUESTS = {"GetParticipant": room.RoomParticipantIdentity, "RemoveParticipant": room.RoomParticipantIdentity, "MutePublishedTrack": room.MuteRoomTrackRequest}


async def call(lk, op, request):
    about, service = (egress, lk.egress) if op.endswith("Egress") else (room, lk.room)
    kind = REQUESTS.get(op) or getattr(about, f"{op.removeprefix('Start')}Request", None) or getattr(about, f"{op}Request")
    request = ParseDict(request, kind())
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", op).lower()
    try:
        answer = await (perform_rpc(lk, request) if op == "PerformRpc" else getattr(service, name)(request))
    except api.TwirpError as error:
        return {"refused": error.code, "field": error.metadata.get("argument")}
    return MessageToDict(answer) if answer is not None else {}


async def main(url, key, secret):
    async with api.LiveKitAPI(url, key, secret) as lk:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            wanted = json.loads(line)
            told = {"id": wanted["id"]}
            try:
                told["value"] = await call(lk, wanted["op"], wanted.get("request", {}))
            except Exception as error:  # whatever it is, the scenario must hear of it
                told["error"] = f"{type(error).__name__}: {error}"
            print(json.dumps(told), flush=True)


asyncio.run(main(*sys.argv[1:]))
