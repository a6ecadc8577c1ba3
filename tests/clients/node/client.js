// One client library, asked for one token as an application would ask. tests/it/clients/mod.rs has the protocol.
//
// CommonJS, because NODE_PATH leads only `require` to packages that are installed elsewhere.

"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");

const ways = { ...require("./identity.js"), ...require("./ordinary.js") };

async function main() {
    const asked = JSON.parse(readFileSync(0, "utf8"));
    const answer = { version: version(asked.client) };
    const started = performance.now();
    try {
        Object.assign(answer, await ways[`${asked.client} ${asked.with}`](asked));
    } catch (error) {
        // What an application would see is what the test is about.
        answer.error = { class: error.name, text: [error.message, ...causes(error)].join(": ") };
    }
    answer.waited = (performance.now() - started) / 1000;
    console.log(JSON.stringify(answer));
    // Keep-alive connections would hold the process for seconds.
    process.exit(0);
}

function version(client) {
    return JSON.parse(readFileSync(path.join(process.env.NODE_PATH, client, "package.json"))).version;
}

// What stands behind it, unless it says so itself.
function causes(error) {
    if (!(error.cause instanceof Error)) return [];
    const more = causes(error.cause);
    return error.message.includes(error.cause.message) ? more : [error.cause.message, ...more];
}

main();
