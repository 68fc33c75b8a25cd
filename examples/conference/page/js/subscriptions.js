// What is received: everybody's sound or the mix, and of the pictures those that are on the screen.
//
// A picture that has left the screen is kept for some seconds, so that turning a page back costs nothing. What is on the screen
// but small is asked for in a small size by the SDK's adaptive stream.

/** How long a picture that is not shown is still subscribed, in ms; the server sends nothing meanwhile. */
const LINGER = 8000;

export class Subscriptions {
  #left = new Map();

  constructor({ room, signal }) {
    this.room = room;
    const ticker = setInterval(() => this.#forget(), 1000);
    signal.addEventListener('abort', () => clearInterval(ticker));
  }

  /** Subscribes to these sounds and to these pictures; the other ones end after a while. */
  want(heard, shown) {
    for (const participant of this.room.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) {
        if (heard.has(publication) || shown.has(publication)) {
          this.#left.delete(publication);
          if (!publication.isDesired) publication.setSubscribed(true);
        } else if (publication.kind === 'audio') {
          if (publication.isDesired) publication.setSubscribed(false);
        } else if (publication.isDesired && !this.#left.has(publication)) {
          this.#left.set(publication, performance.now());
        }
      }
    }
  }

  #forget() {
    for (const [publication, since] of this.#left) {
      if (performance.now() - since < LINGER) continue;
      this.#left.delete(publication);
      publication.setSubscribed(false);
    }
  }
}
