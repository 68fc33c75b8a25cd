// Browser tests: `node run.mjs [WORD…]` runs the scenarios whose name contains one of the words.
//
// ALTHING_SERVER names the server program, ALTHING_RELAY the relay, ALTHING_PYTHON the Python with aiortc;
// `cargo xtask e2e` sets them.

import { readdirSync } from 'node:fs';
import { runAll } from './lib/runner.mjs';

const folder = new URL('./scenarios/', import.meta.url);
for (const file of readdirSync(folder).filter((name) => name.endsWith('.mjs')).sort()) await import(new URL(file, folder));

process.exit(await runAll(process.argv.slice(2)));
