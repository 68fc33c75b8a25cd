// End-to-end encryption with a key that all share. The key is in the fragment of the address and stays in the browsers.

const WORKER = new URL('../vendor/livekit-client.e2ee.worker.mjs', import.meta.url);

/** A key that nobody guesses: 128 bits, 22 letters. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** What the room needs in order to encrypt with this key. */
export async function sealed(sdk, key) {
  if (!sdk.isE2EESupported()) throw new Error('This browser cannot encrypt end to end. Try a newer one, or come in without a key.');
  const keyProvider = new sdk.ExternalE2EEKeyProvider();
  await keyProvider.setKey(key);
  return { keyProvider, worker: new Worker(WORKER, { type: 'module' }) };
}

/** Follows whose media cannot be opened; calls `changed` when that changes. */
export class Locks {
  #wrong = new Set();

  constructor(room, sdk, changed) {
    room.on(sdk.RoomEvent.EncryptionError, (error, participant) => {
      const whose = participant?.identity ?? error.participantIdentity;
      if (!whose || this.#wrong.has(whose)) return;
      this.#wrong.add(whose);
      changed(whose);
    });
    room.on(sdk.RoomEvent.ParticipantDisconnected, ({ identity }) => this.#wrong.delete(identity));
  }

  /** Whether this participant has another key. */
  wrong(identity) {
    return this.#wrong.has(identity);
  }
}
