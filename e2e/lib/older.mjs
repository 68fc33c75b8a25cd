// A server as clients with two connections find it: in front of ours, without the path of the newer form. They are told by
// a 404 and use the older one.

import { createServer, request } from 'node:http';
import { connect } from 'node:net';

/** The same server at an address where clients use two connections. */
export async function older(t, server) {
  const { hostname, port } = new URL(server.base);
  const hidden = (url) => /^\/rtc\/v1\b/.test(url);
  const front = createServer((asked, answer) => {
    if (hidden(asked.url)) return answer.writeHead(404, { 'access-control-allow-origin': '*' }).end('not here');
    const { method, url: path, headers } = asked;
    const passed = request({ hostname, port, method, path, headers }, (reply) => {
      answer.writeHead(reply.statusCode, reply.headers);
      reply.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    asked.pipe(passed);
  });
  const open = new Set();
  front.on('upgrade', (asked, socket, head) => {
    if (hidden(asked.url)) return socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    const lines = asked.rawHeaders.flatMap((word, index, all) => (index % 2 ? [] : [`${word}: ${all[index + 1]}`]));
    const back = connect(port, hostname, () => {
      back.write([`${asked.method} ${asked.url} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      back.write(head);
      socket.pipe(back).pipe(socket);
    });
    open.add(socket).add(back);
    for (const [one, other] of [[socket, back], [back, socket]]) {
      one.on('error', () => {});
      one.on('close', () => (other.destroy(), open.delete(one)));
    }
  });
  await new Promise((done) => front.listen(0, hostname, done));
  t.defer(async () => {
    for (const socket of open) socket.destroy();
    front.closeAllConnections();
    front.close();
  });
  return { ...server, base: `http://${hostname}:${front.address().port}` };
}
