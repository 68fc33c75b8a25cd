// The chat: text streams on the topic `lk.chat`, as other clients of the same SDKs have it.

import { all, at, copy } from './dom.js';
import { announce, notice } from './news.js';

const TOPIC = 'lk.chat';
/** Longest message that is taken, in UTF-16 units: the rest is cut off. */
const LONGEST = 10_000;
/** Messages that are kept; older ones go. */
const KEPT = 500;
/** Addresses in a text, without the signs that end a sentence. */
const ADDRESS = /https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]}]/gi;

export class Chat {
  #unread = 0;

  /** `isOpen()` tells whether the chat is on the screen; `onUnread(count)` how much has not been seen. */
  constructor({ room, signal }, { isOpen, onUnread }) {
    Object.assign(this, { room, isOpen, onUnread });
    room.registerTextStreamHandler(TOPIC, async (reader, { identity }) => {
      const text = await bounded(reader).catch(() => ''); // the sender has gone in the middle of it
      const sender = room.getParticipantByIdentity(identity);
      if (text.trim()) this.#receive(sender?.name || identity, text, reader.info.timestamp);
    });
    at('write').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    }, { signal });
    at('text').addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    }, { signal });
    signal.addEventListener('abort', () => {
      room.unregisterTextStreamHandler(TOPIC);
      at('messages').replaceChildren();
      at('no-messages').hidden = false;
      at('text').value = '';
      onUnread(0);
    });
  }

  /** Whoever may not send data reads only. */
  showRights() {
    at('write').hidden = this.room.localParticipant.permissions?.canPublishData === false;
  }

  /** All is read. */
  read() {
    this.#unread = 0;
    this.onUnread(0);
    at('messages').scrollTop = at('messages').scrollHeight;
  }

  async #send() {
    const text = at('text').value.trim();
    if (!text) return;
    at('text').value = '';
    const element = this.#add('You', text, Date.now(), true);
    try {
      await this.room.localParticipant.sendText(text, { topic: TOPIC });
    } catch {
      element.classList.add('failed');
      element.querySelector('time').textContent = 'not sent';
      notice('The message could not be sent.');
    }
  }

  #receive(name, text, time) {
    this.#add(name, text, time, false);
    if (this.isOpen()) return; // the list of messages is read out by itself
    this.#unread += 1;
    this.onUnread(this.#unread);
    announce(`${name} writes: ${text.slice(0, 200)}`);
  }

  #add(name, text, time, own) {
    const list = at('messages');
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const element = copy('message');
    element.classList.toggle('own', own);
    element.querySelector('b').textContent = name;
    const when = new Date(Number.isFinite(time) ? time : Date.now());
    element.querySelector('time').dateTime = when.toISOString();
    element.querySelector('time').textContent = when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    element.querySelector('.words').append(...withLinks(text));
    at('no-messages').hidden = true;
    list.append(element);
    for (const old of all(':scope > .message', list).slice(0, -KEPT)) old.remove();
    if (atEnd || own) list.scrollTop = list.scrollHeight;
    return element;
  }
}

/** The beginning of a stream of text, without waiting for the rest of one that is too long. */
async function bounded(reader) {
  let text = '';
  for await (const chunk of reader) {
    text += chunk;
    if (text.length > LONGEST) return `${text.slice(0, LONGEST)}…`;
  }
  return text;
}

/** Text, and links for the addresses in it. Only http and https, and nothing that is not text. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: address, index } of text.matchAll(ADDRESS)) {
    if (!URL.canParse(address)) continue;
    const link = document.createElement('a');
    Object.assign(link, { href: address, textContent: address, target: '_blank', rel: 'noopener noreferrer nofollow' });
    parts.push(text.slice(end, index), link);
    end = index + address.length;
  }
  return [...parts, text.slice(end)];
}
