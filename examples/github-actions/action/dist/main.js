'use strict';
// Starts the broker beside the job's steps and tells them where it is. No dependencies; what is here is what runs.
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn, spawnSync } = require('node:child_process');
const { binary } = require('./binary.js');
const { claims, command, hand, input, list, show, sleep } = require('./runner.js');

const [client, tenant, scopes] = [input('client-id'), input('tenant-id'), list(input('scopes'))];
const patience = 1000 * Number(input('wait-seconds'));
// Where other machines may reach the doors, the one without a key stays closed.
const near = /^(127\.|\[::1\])/.test(input('listen'));
const doors = list(input('doors')).filter((door) => near || door !== 'imds');

// The broker's whole configuration. Of the key only its hash: an environment is easily read.
function settings(folder, key) {
  const { UNSECRET_CONFIG, LISTEN_PID, ...inherited } = process.env;
  const env = Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('INPUT_')));
  const far = { UNSECRET_LISTEN_UNSAFE_ANY_ADDRESS: 'true', UNSECRET_LISTEN_HOSTS: input('listen').replace(/:\d+$/, '') };
  return {
    ...env,
    UNSECRET_TENANT: tenant,
    UNSECRET_CLIENT_ID: client,
    UNSECRET_SCOPES: scopes.join(','),
    UNSECRET_ASSERTION_GITHUB: 'true',
    ...(input('audience') && { UNSECRET_ASSERTION_GITHUB_AUDIENCE: input('audience') }),
    ...(input('cloud') && { UNSECRET_CLOUD: input('cloud') }),
    UNSECRET_CALLER_KEY_SHA256: crypto.createHash('sha256').update(key).digest('hex'),
    UNSECRET_CALLER_UID: String(process.getuid()),
    UNSECRET_ANY_LOCAL_CALLER: String(doors.includes('imds')),
    UNSECRET_LISTEN_DOORS: doors.join(','),
    UNSECRET_LISTEN_HTTP: input('listen'),
    UNSECRET_LISTEN_ADMIN: '127.0.0.1:0',
    UNSECRET_LISTEN_UNIX: path.join(folder, 'unsecret.sock'),
    UNSECRET_LISTEN_UNIX_MODE: '0600',
    UNSECRET_LOG_LEVEL: input('log-level'),
    ...(!near && far),
  };
}

// Runs until the job ends. On descriptor 3 it says where it listens, or hangs up without a word.
async function start(program, env, logFile) {
  const log = fs.openSync(logFile, 'a', 0o600);
  const handed = { ...env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'ready' };
  const broker = spawn(program, ['run'], { detached: true, stdio: ['ignore', log, log, 'pipe'], env: handed });
  const unable = new Promise((_, fail) => broker.on('error', fail));
  if (broker.pid) hand('GITHUB_STATE', { pid: broker.pid });
  const late = new Promise((done) => setTimeout(done, patience).unref());
  const line = await Promise.race([broker.stdio[3].toArray(), late, unable]);
  broker.stdio[3].destroy();
  broker.unref();
  if (!line?.length) {
    show('The log of unsecret', fs.readFileSync(logFile, 'utf8'));
    throw new Error('unsecret did not start; its log is above');
  }
  return { pid: broker.pid, ...JSON.parse(Buffer.concat(line)) };
}

// One token, which is not kept. Passing failures are 503 and asked again; the rest are for people, whom `doctor` tells more.
async function tryOnce(program, env, base, key) {
  const scope = scopes.find((one) => one !== '*') ?? 'https://management.azure.com/.default';
  const query = (version) => `api-version=${version}&resource=${encodeURIComponent(scope.replace(/\/\.default$/, ''))}`;
  const [url, headers] = doors.includes('app-service')
    ? [`${base}/msi/token?${query('2019-08-01')}`, { 'X-IDENTITY-HEADER': key }]
    : [`${base}/metadata/identity/oauth2/token?${query('2018-02-01')}`, { Metadata: 'true' }];
  for (const deadline = Date.now() + patience; ; ) {
    const answer = await fetch(url, { headers });
    const body = await answer.json();
    // 404: only `oauth` is open, which asks otherwise.
    if (answer.ok || answer.status === 404) return;
    if (answer.status === 503 && Date.now() < deadline) {
      await sleep(1000 * Number(answer.headers.get('retry-after') ?? 1));
      continue;
    }
    // It asks once more by itself, and leaves the broker's socket alone.
    const alone = { ...env, UNSECRET_LISTEN_UNIX: '', UNSECRET_LISTEN_UNIX_MODE: '' };
    const { stdout, stderr } = spawnSync(program, ['doctor'], { env: alone, encoding: 'utf8', timeout: 60_000 });
    show('unsecret doctor', stdout + stderr);
    const remedy = /^ +broken [^]*?^ +remedy +(.+)$/m.exec(stdout)?.[1];
    throw new Error(`there is no token: ${body.message ?? body.error_description}${remedy ? ` Remedy: ${remedy}` : ''}`);
  }
}

// What GitHub calls this job, which the federated credential has to name letter by letter.
async function subject() {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = process.env;
  const asked = fetch(url, { headers: { authorization: `Bearer ${bearer}` }, signal: AbortSignal.timeout(5000) });
  const body = await asked.then((answer) => answer.json()).catch(() => ({}));
  return claims(body.value).sub ?? 'unknown';
}

// The request token dies some day; on a self-hosted runner that may be before the job does. It counts from the job's start.
function requestTokenEnds() {
  const { exp, nbf = Date.now() / 1000 } = claims(process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN);
  if (!exp) return 'an unknown time';
  const at = new Date(1000 * exp).toISOString();
  const soon = exp - nbf < 60 * Number(input('job-minutes'));
  if (soon) command('warning', `GitHub gives this job OIDC tokens until ${at} only: after that it gets no new access token`);
  return at;
}

function variables(base, key) {
  const exempt = list(process.env.no_proxy || process.env.NO_PROXY || '');
  const direct = [...new Set([...exempt, 'localhost', '127.0.0.1', '::1', '169.254.169.254', new URL(base).hostname])].join(',');
  const arm = { ARM_USE_MSI: 'true', ARM_CLIENT_ID: client, ARM_TENANT_ID: tenant };
  return {
    ...(doors.includes('app-service') && { IDENTITY_ENDPOINT: `${base}/msi/token`, IDENTITY_HEADER: key }),
    ...(doors.includes('imds') && { AZURE_POD_IDENTITY_AUTHORITY_HOST: base }),
    AZURE_CLIENT_ID: client,
    AZURE_TENANT_ID: tenant,
    // A refusal leads to no developer's login.
    AZURE_TOKEN_CREDENTIALS: process.env.AZURE_TOKEN_CREDENTIALS || 'prod',
    NO_PROXY: direct,
    no_proxy: direct,
    // Terraform asks as one asks IMDS: no key, one header.
    ...(input('export-arm') === 'true' && { ARM_MSI_ENDPOINT: `${base}/metadata/identity/oauth2/token`, ...arm }),
  };
}

async function main() {
  const key = crypto.randomBytes(32).toString('hex');
  command('add-mask', key);
  if (!process.env.ACTIONS_ID_TOKEN_REQUEST_URL || !process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN) {
    const remedy = 'give it `permissions: id-token: write`, which a pull request from a fork does not get';
    throw new Error(`GitHub offers this job no OIDC token: ${remedy}`);
  }
  for (const name of ['client-id', 'tenant-id', 'scopes']) if (!input(name)) throw new Error(`the input ${name} is empty`);
  for (const name of ['AZURE_CLIENT_SECRET', 'AZURE_FEDERATED_TOKEN_FILE']) {
    if (process.env[name]) command('warning', `${name} is set: clients that find it go past the broker, so take it out of the job`);
  }
  const program = await binary();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'unsecret-'));
  hand('GITHUB_STATE', { folder, program });
  const [env, logFile] = [settings(folder, key), path.join(folder, 'unsecret.log')];
  const { pid, http, unix, admin } = await start(program, env, logFile);
  hand('GITHUB_STATE', { admin });
  const base = `http://${http[0]}`;
  if (input('fail-fast') === 'true') await tryOnce(program, env, base, key);
  const endpoint = doors.includes('app-service') ? `${base}/msi/token` : base;
  hand('GITHUB_OUTPUT', { endpoint, socket: unix, pid, 'log-file': logFile, 'metrics-url': `http://${admin}/metrics` });
  if (input('export-env') === 'true') hand('GITHUB_ENV', variables(base, key));
  const allowed = scopes.map((scope) => `\`${scope}\``).join(', ');
  const line = `**unsecret**: subject \`${await subject()}\`; tokens for ${allowed}; OIDC tokens until ${requestTokenEnds()}\n`;
  fs.appendFileSync(process.env.GITHUB_STEP_SUMMARY, line);
}

main().catch((error) => {
  command('error', error.message);
  process.exitCode = 1;
});
