// Drives a Phoenix client for a test: commands as JSON lines on stdin, what happens as JSON lines
// on stdout.
//
//   node driver.cjs phoenix|phoenix-1.7|phoenix-channels ws://host:port/socket [params as JSON]
//
// Commands: {"id", "do": "join" | "push" | "cast" | "push_binary" | "leave" | "close", "topic", ...}.
// Answers: {"id", "status", "response"}. Events: {"event": "open" | "closed" | "message" | ...}.
"use strict";
const readline = require("node:readline");

const [library, url, params] = process.argv.slice(2);
const { Socket } = require(library);

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const shown = (value) => (value instanceof ArrayBuffer ? { binary: hex(value) } : value);

const options = { params: params ? JSON.parse(params) : { from: library } };
if (library !== "phoenix-channels") options.transport = require("ws");
const socket = new Socket(url, options);
const channels = new Map();

socket.onOpen(() => say({ event: "open" }));
socket.onClose((close) => say({ event: "closed", code: (close && close.code) || null }));
socket.onError(() => {});

function answer(push, id) {
  push
    .receive("ok", (response) => say({ id, status: "ok", response: shown(response) }))
    .receive("error", (response) => say({ id, status: "error", response: shown(response) }))
    .receive("timeout", () => say({ id, status: "timeout" }));
}

const commands = {
  join({ id, topic, payload, listen }) {
    const channel = socket.channel(topic, payload || {});
    channels.set(topic, channel);
    for (const event of listen || []) {
      channel.on(event, (message) => say({ event: "message", topic, name: event, payload: shown(message) }));
    }
    channel.onError((reason) => say({ event: "channel_error", topic, reason: shown(reason) || null }));
    channel.onClose(() => say({ event: "channel_closed", topic }));
    answer(channel.join(), id);
  },
  push({ id, topic, event, payload }) {
    answer(channels.get(topic).push(event, payload || {}), id);
  },
  cast({ topic, event, payload }) {
    channels.get(topic).push(event, payload || {});
  },
  push_binary({ id, topic, event, hex: text }) {
    const bytes = Buffer.from(text, "hex");
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    answer(channels.get(topic).push(event, buffer), id);
  },
  leave({ id, topic }) {
    answer(channels.get(topic).leave(), id);
  },
  close() {
    socket.disconnect(() => process.exit(0));
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
}).on("close", () => process.exit(0));

socket.connect();
