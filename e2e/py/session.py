"""A WHIP or WHEP session of aiortc: offer, answer, end."""

import asyncio
import json

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription


def tell(**facts):
    """One line of JSON for the test that started us."""
    print(json.dumps(facts), flush=True)


async def connect(pc: RTCPeerConnection, http: aiohttp.ClientSession, url: str, token: str) -> str:
    """Offers, takes the answer, waits for the connection; gives the address of the session."""
    connected = asyncio.Event()

    @pc.on("connectionstatechange")
    def changed():
        if pc.connectionState == "connected":
            connected.set()

    await pc.setLocalDescription(await pc.createOffer())
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    async with http.post(url, data=pc.localDescription.sdp, headers=headers) as response:
        text = await response.text()
        if response.status != 201:
            raise RuntimeError(f"{response.status}: {text}")
        location = str(response.url.join(aiohttp.client.URL(response.headers["location"])))
    await pc.setRemoteDescription(RTCSessionDescription(sdp=text, type="answer"))
    await asyncio.wait_for(connected.wait(), 20)
    transport = pc.getTransceivers()[0].sender.transport
    tell(state="connected", srtp=transport._ssl.get_selected_srtp_profile().decode())
    return location


async def end(pc: RTCPeerConnection, http: aiohttp.ClientSession, location: str, token: str):
    """Ends the session on the server and here."""
    async with http.delete(location, headers={"authorization": f"Bearer {token}"}) as response:
        tell(state="ended", status=response.status)
    await pc.close()
