'use strict';
// The end of the job: what the broker did, then nothing of it is left. Whatever happens here, the job's verdict stands.
const fs = require('node:fs');
const path = require('node:path');
const { command, show, sleep } = require('./runner.js');

const { STATE_pid: pid, STATE_folder: folder, STATE_program: program, STATE_admin: admin } = process.env;

// The number may be another process's by now; the dead that nobody has buried have no program.
function alive() {
  try {
    return fs.readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '') === fs.realpathSync(program);
  } catch {
    return false;
  }
}

function summary(metrics) {
  const samples = [...metrics.matchAll(/^unsecret_(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, ...sample]) => sample);
  const sum = (of) => samples.reduce((all, [name, labels, value]) => all + (of(name, labels) ? Number(value) : 0), 0);
  const good = (of) => (name, labels) => name === of && labels.includes('outcome="success"');
  const lines = [
    `${sum((name) => name === 'cache_requests_total')} times a token was asked for`,
    `${sum(good('token_requests_total'))} came from Entra, for ${sum(good('assertions_total'))} OIDC tokens, each asked for then`,
  ];
  for (const [name, labels, value] of samples) {
    const failed = /^(token_requests|assertions)_total$/.test(name) && !good(name)(name, labels) && Number(value) > 0;
    if (failed) lines.push(`${value} failed: ${labels}`);
    if (name === 'assertion_source_expiry_timestamp_seconds') lines.push(`OIDC tokens until ${new Date(1000 * value).toISOString()}`);
  }
  return lines.join('\n');
}

async function post() {
  try {
    const page = admin && (await fetch(`http://${admin}/metrics`, { signal: AbortSignal.timeout(3000) }));
    if (page) show('unsecret in this job', summary(await page.text()));
  } catch {
    command('warning', 'unsecret was no longer running at the end of the job');
  }
  for (const [signal, patience] of [['SIGTERM', 3000], ['SIGKILL', 1000]]) {
    if (alive()) process.kill(Number(pid), signal);
    for (const until = Date.now() + patience; alive() && Date.now() < until; ) await sleep(50);
  }
  // Only what main.js made: a state that somebody else wrote must not have other folders removed.
  if (folder && path.basename(folder).startsWith('unsecret-')) fs.rmSync(folder, { recursive: true, force: true });
}

post().catch((error) => command('warning', `clear up after unsecret: ${error.message}`));
