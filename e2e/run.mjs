// Browser tests: `node run.mjs [WORD…]` runs the scenarios whose name contains one of the words.
//
// ALTHING_SERVER names the server program, ALTHING_RELAY the relay, ALTHING_PYTHON the Python with aiortc;
// `cargo xtask e2e` sets them.

import { runAll } from './lib/runner.mjs';

for (const name of ['harness', 'picture', 'network', 'page', 'sdk']) await import(`./scenarios/${name}.mjs`);

process.exit(await runAll(process.argv.slice(2)));
