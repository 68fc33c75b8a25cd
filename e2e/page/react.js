// Bundled for a browser page: a meeting page as others build it, the ready-made conference of the React components.

import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { LiveKitRoom, RoomAudioRenderer, VideoConference } from '@livekit/components-react';
import '@livekit/components-styles';

const { searchParams } = new URL(location.href);
const options = { serverUrl: searchParams.get('url'), token: searchParams.get('token'), audio: true, video: true, 'data-lk-theme': 'default', style: { height: '100vh' } };
const left = () => document.body.setAttribute('data-left', '');
createRoot(document.body.appendChild(document.createElement('div'))).render(
  createElement(LiveKitRoom, { ...options, onDisconnected: left }, createElement(VideoConference), createElement(RoomAudioRenderer)),
);
