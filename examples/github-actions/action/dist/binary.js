'use strict';
// Where the program comes from: a path, the tool cache, or a release of this repository. What is fetched runs only if its
// SHA-256 is the one that stands in this very commit of the action, or in the input `sha256`.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { input, sleep } = require('./runner.js');

const digest = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

function verify(bytes, wanted, from) {
  if (digest(bytes) !== wanted) throw new Error(`${from} has the SHA-256 ${digest(bytes)}, not ${wanted}: it was not run`);
}

// The image of a `container:` job may be Alpine, whose libc runs static binaries only.
function target() {
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
  if (process.platform !== 'linux' || !machine) throw new Error(`there is no binary for ${process.platform} on ${process.arch}`);
  const system = fs.existsSync('/etc/os-release') ? fs.readFileSync('/etc/os-release', 'utf8') : '';
  return `${machine}-unknown-linux-${/^ID(_LIKE)?=.*\balpine\b/m.test(system) ? 'musl' : 'gnu'}`;
}

function listed(name) {
  const lines = fs.readFileSync(path.join(__dirname, '..', 'SHA256SUMS'), 'utf8').split('\n');
  return lines.map((line) => line.split(/ +\*?/)).find(([, file]) => file === name)?.[0];
}

async function fetched(url) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(60_000) }).catch((error) => error);
    if (answer.ok) return Buffer.from(await answer.arrayBuffer());
    const why = answer.status ?? answer.cause?.message ?? answer.message;
    if (answer.status < 500 || attempt === 3) throw new Error(`fetch ${url}: ${why}`);
    await sleep(1000 * attempt);
  }
}

module.exports.binary = async () => {
  const [own, version, given] = [input('binary-path'), input('version'), input('sha256').toLowerCase()];
  if (own) {
    if (given) verify(fs.readFileSync(own), given, own);
    return path.resolve(own);
  }
  const name = `unsecret-${version}-${target()}`;
  const wanted = given || listed(name);
  if (!wanted) throw new Error(`this commit of the action has no SHA-256 of ${name}: use a version that SHA256SUMS lists, or set sha256`);
  const file = path.join(process.env.RUNNER_TOOL_CACHE || process.env.RUNNER_TEMP, 'unsecret', version, target(), 'unsecret');
  if (fs.existsSync(file) && digest(fs.readFileSync(file)) === wanted) return file;
  const { GITHUB_SERVER_URL: server, GITHUB_ACTION_REPOSITORY: repository } = process.env;
  if (!repository) throw new Error('an action that is used by its path has no releases to fetch from: set binary-path');
  const url = `${server}/${repository}/releases/download/v${version}/${name}`;
  const bytes = await fetched(url);
  verify(bytes, wanted, url);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  // Whole or not at all, for other jobs that share the cache.
  const partial = `${file}.${crypto.randomUUID()}`;
  fs.writeFileSync(partial, bytes, { mode: 0o755 });
  fs.renameSync(partial, file);
  return file;
};
