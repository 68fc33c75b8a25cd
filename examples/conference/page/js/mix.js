// One stream of sound instead of one of each person, made by the server where it is set up to: for slow networks and old computers.
//
// The mix is a participant with the attribute `althing.mix`, who is shown to nobody. Who sets its own attribute `listen` to `mix` is
// sent it, without their own voice.

import { others, part } from './company.js';
import { at } from './dom.js';
import { keep, recall } from './preferences.js';

export class Mix {
  #chosen = recall('mix', false);
  #told;

  /** `onChange()`: others are to be heard than before. */
  constructor({ room, sdk, key, signal }, onChange) {
    Object.assign(this, { room, key, onChange });
    const { RoomEvent } = sdk;
    for (const event of ['Connected', 'Reconnected', 'ParticipantConnected', 'ParticipantDisconnected', 'TrackSubscribed', 'TrackUnsubscribed', 'ParticipantPermissionsChanged']) {
      room.on(RoomEvent[event], () => this.#follow());
    }
    at('mix').addEventListener('change', ({ target }) => {
      this.#chosen = target.checked;
      keep('mix', this.#chosen);
      this.#follow();
    }, { signal });
    signal.addEventListener('abort', () => (at('mix').closest('label').hidden = true));
    this.#follow();
  }

  /** Whether the mix is wanted, and there. Sound that is encrypted end to end is in none. */
  get wanted() {
    return this.#chosen && this.#offered;
  }

  /** The sound to receive: the mix as soon as it flows, until then everybody's. */
  get publications() {
    const sounds = (participants) => participants.flatMap((one) => [...one.trackPublications.values()].filter(({ kind }) => kind === 'audio'));
    const mix = this.wanted ? sounds([part(this.room, 'althing.mix')]) : [];
    const flows = mix.some((publication) => publication.track);
    return new Set([...mix, ...(flows ? [] : sounds(others(this.room)))]);
  }

  get #offered() {
    return Boolean(!this.key && part(this.room, 'althing.mix') && this.room.localParticipant.permissions?.canUpdateMetadata);
  }

  #follow() {
    at('mix').closest('label').hidden = !this.#offered;
    at('mix').checked = this.#chosen;
    const listen = this.wanted ? 'mix' : '';
    if (this.#offered && (this.#told ?? '') !== listen) {
      this.#told = listen;
      this.room.localParticipant.setAttributes({ listen }).catch(() => (this.#told = undefined)); // not connected: tried again with the next change
    }
    this.onChange();
  }
}
