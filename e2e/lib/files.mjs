// Serves the harness's own page scripts on loopback, with an empty page at `/`, for what needs no conference server.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PAGE = fileURLToPath(new URL('../page', import.meta.url));
const BUNDLES = fileURLToPath(new URL('../../target/e2e/bundles', import.meta.url));
const TYPES = { '.css': 'text/css' };

/** Puts a page script and all that it imports into one file, which is served as `NAME.bundle.js` beside `NAME.bundle.css`. */
export async function bundle(script) {
  const name = basename(script, '.js');
  const define = { 'process.env.NODE_ENV': '"production"' };
  await build({ entryPoints: [join(PAGE, script)], outfile: join(BUNDLES, `${name}.bundle.js`), bundle: true, format: 'esm', minify: true, define, logLevel: 'error' });
}

/** Scripts of packages, each a single file. */
const PACKAGES = Object.fromEntries(['livekit-client/dist/livekit-client.esm.mjs', 'livekit-client/dist/livekit-client.e2ee.worker.mjs', 'hls.js/dist/hls.mjs'].map((path) =>
  [basename(path), fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url))]));

/** Starts it on a free port; `t` closes it. Gives its address. */
export async function serveFiles(t) {
  const server = createServer(async (request, response) => {
    const name = basename(new URL(request.url, 'http://localhost').pathname);
    const folder = name.includes('.bundle.') ? BUNDLES : PAGE;
    if (!name) return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>test</title><link rel="icon" href="data:,"><body>');
    try {
      const text = await readFile(PACKAGES[name] ?? join(folder, name));
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'text/javascript', 'access-control-allow-origin': '*' }).end(text);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.defer(() => new Promise((done) => {
    server.closeAllConnections();
    server.close(done);
  }));
  return `http://localhost:${server.address().port}`;
}
