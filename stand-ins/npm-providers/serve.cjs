// Stand-ins for identity providers in the slow tests: `emulate` for Okta and Clerk, Firebase's Auth emulator.
//   node serve.cjs FOLDER okta|clerk PORT '{"okta": ...}'          serves until it is killed; prints "ready"
//   node serve.cjs FOLDER firebase PORT PROJECT
//   node serve.cjs FOLDER firebase-export PORT PROJECT FILE       does `firebase auth:export FILE` at PORT
// FOLDER has the installed packages.
'use strict';
const fs = require('fs');
const net = require('net');
const os = require('os');
const { createRequire } = require('module');

const [folder, ...asked] = process.argv.slice(2);
const installed = createRequire(`${folder}/`);
// Neither package takes a host, so this makes every server listen on 127.0.0.1: no other machine may connect.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, typeof port === 'object' ? { ...port, host: '127.0.0.1' } : port, '127.0.0.1', ...rest.filter((one) => typeof one === 'function'));
};

async function main([what, port, ...rest]) {
  if (what === 'firebase') {
    const { createApp } = installed('firebase-tools/lib/emulator/auth/server.js');
    const app = await createApp(rest[0]);
    app.listen(Number(port), () => console.log('ready'));
    return;
  }
  if (what === 'firebase-export') {
    process.env.FIREBASE_GOOGLE_URL = `http://127.0.0.1:${port}/www.googleapis.com`;
    const [project, file] = rest;
    installed('firebase-tools/lib/apiv2.js').setAccessToken('owner');
    const { serialExportUsers, validateOptions } = installed('firebase-tools/lib/accountExporter.js');
    const { format } = validateOptions({}, file);
    const writeStream = fs.createWriteStream(file);
    // The command auth:export writes the list's frame like this.
    if (format === 'json') writeStream.write(`{"users": [${os.EOL}`);
    await serialExportUsers(project, { format, writeStream, batchSize: 1000 });
    if (format === 'json') writeStream.write(']}');
    await new Promise((resolve) => writeStream.end(resolve));
    return;
  }
  const { createEmulator } = await import(`file://${folder}/node_modules/emulate/dist/api.js`);
  await createEmulator({ service: what, port: Number(port), baseUrl: `http://127.0.0.1:${port}`, seed: JSON.parse(rest[0]) });
  console.log('ready');
}

main(asked).catch((error) => {
  console.error(error);
  process.exit(1);
});
