// Runs inside a browser page: two connections of the same page, to prove fake devices, flags and statistics without a server.

/** Sends the fake camera and microphone from one connection to another; gives both and the received stream. */
export async function loopback(codec) {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 30 } });
  const from = new RTCPeerConnection();
  const to = new RTCPeerConnection();
  from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate ?? undefined);
  to.onicecandidate = ({ candidate }) => from.addIceCandidate(candidate ?? undefined);
  const received = new MediaStream();
  const both = new Promise((done) => {
    to.ontrack = ({ track }) => {
      received.addTrack(track);
      if (received.getTracks().length === 2) done();
    };
  });
  for (const track of media.getTracks()) {
    const transceiver = from.addTransceiver(track, { direction: 'sendonly', streams: [media] });
    if (track.kind === 'video' && codec) {
      const all = RTCRtpReceiver.getCapabilities('video').codecs;
      transceiver.setCodecPreferences(all.filter((c) => c.mimeType.toLowerCase() === codec.toLowerCase()));
    }
  }
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
  await both;
  const video = document.createElement('video');
  Object.assign(video, { autoplay: true, playsInline: true, srcObject: received });
  document.body.append(video);
  await video.play();
  return { from, to, received, video };
}

/** Video codecs that this browser can send. */
export function videoCodecs() {
  return [...new Set(RTCRtpSender.getCapabilities('video').codecs.map((c) => c.mimeType))];
}
