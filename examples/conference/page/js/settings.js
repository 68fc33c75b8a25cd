// The settings: which microphone, camera and speaker, which colours, whether single keys are shortcuts.

import { all, at } from './dom.js';
import { remember } from './devices.js';
import { keep, recall } from './preferences.js';

const KINDS = { audioinput: 'Microphone', videoinput: 'Camera', audiooutput: 'Speaker' };

/** Whether single keys are shortcuts. */
export const shortcutsOn = () => recall('shortcuts', true);

/** `use(kind, deviceId)` puts a choice into force, and gives a sentence for what did not work. */
export function startSettings(use) {
  const dialog = at('settings');
  for (const button of all('[data-open="settings"]')) {
    button.addEventListener('click', () => {
      at('device-problem').textContent = '';
      dialog.showModal();
      list();
    });
  }
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close()); // beside it
  for (const select of all('select[data-kind]')) {
    select.addEventListener('change', async () => {
      remember(select.dataset.kind, select.value);
      at('device-problem').textContent = (await use(select.dataset.kind, select.value)) ?? '';
      list(); // names are told once the person has allowed something
    });
  }
  at('shortcuts').checked = shortcutsOn();
  at('shortcuts').addEventListener('change', ({ target }) => keep('shortcuts', target.checked));
  at('test-sound').addEventListener('click', tone);
  navigator.mediaDevices?.addEventListener('devicechange', () => dialog.open && list());
}

/** Fills in the devices that there are. */
async function list() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  for (const select of all('select[data-kind]')) {
    const kind = select.dataset.kind;
    const there = devices.filter((device) => device.kind === kind);
    const options = there.map((device, index) => new Option(device.label || `${KINDS[kind]} ${index + 1}`, device.deviceId));
    // Some browsers do not let a page choose the speaker.
    if (options.length === 0) options.push(new Option(kind === 'audiooutput' ? 'as the system says' : 'none found', ''));
    const chosen = recall('devices', {})[kind];
    select.replaceChildren(...options);
    select.disabled = there.length === 0;
    if (there.some((device) => device.deviceId === chosen)) select.value = chosen;
  }
}

/** Plays a short tone on the chosen speaker. */
async function tone() {
  const context = new AudioContext();
  const speaker = at('choose-audiooutput').value;
  if (speaker && context.setSinkId) await context.setSinkId(speaker).catch(() => {}); // then on the usual one
  const [oscillator, gain] = [context.createOscillator(), context.createGain()];
  oscillator.frequency.value = 523;
  gain.gain.setValueAtTime(0.2, context.currentTime);
  gain.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.8);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start();
  oscillator.stop(context.currentTime + 0.8);
  oscillator.onended = () => context.close();
}
