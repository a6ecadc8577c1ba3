'use strict';
// What the runner understands: commands on stdout, and files that it reads after the step.
const crypto = require('node:crypto');
const fs = require('node:fs');

const input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] ?? '').trim();
const list = (text) => text.split(/[\s,]+/).filter(Boolean);
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function command(name, text) {
  const escaped = text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  process.stdout.write(`::${name}::${escaped}\n`);
}

// In a group, and with commands off: what others wrote must not be obeyed by the runner.
function show(title, text) {
  const resume = crypto.randomUUID();
  process.stdout.write(`::group::${title}\n::stop-commands::${resume}\n${text.trimEnd()}\n::${resume}::\n::endgroup::\n`);
}

// Into GITHUB_ENV, GITHUB_OUTPUT or GITHUB_STATE. The delimiter is random: no value can end early and begin another variable.
function hand(file, values) {
  for (const [name, value] of Object.entries(values)) {
    const end = `unsecret_${crypto.randomUUID()}`;
    fs.appendFileSync(process.env[file], `${name}<<${end}\n${value}\n${end}\n`);
  }
}

// What a JWT says, unverified; nothing where it is none.
function claims(jwt) {
  try {
    return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
  } catch {
    return {};
  }
}

module.exports = { claims, command, hand, input, list, show, sleep };
