// A file system with one file, `trace`, each read of which takes its time: what a cold disk or a server far away is.
// node slow-disk.mjs FILE FOLDER DELAY_MS mounts it until the process ends; "ready" on standard output when it is there.
// Reads that begin at or beyond HANG_AT, where that is given, are never answered.
import { spawnSync } from 'node:child_process';
import { openSync, read, readFileSync, writeSync } from 'node:fs';

const [path, folder, delay, hangAt = 'Infinity'] = process.argv.slice(2);
const content = readFileSync(path);
// The protocol is the kernel's: include/uapi/linux/fuse.h.
const OP = { lookup: 1, forget: 2, getattr: 3, open: 14, read: 15, release: 18, flush: 25, init: 26, interrupt: 36 };
const ENOSYS = 38;
const ROOT = 1n;
const DIRECT_IO = 1; // past the page cache
const device = openSync('/dev/fuse', 'r+');

function attributes(node) {
  const isRoot = node === ROOT;
  const attr = Buffer.alloc(88);
  attr.writeBigUInt64LE(node, 0);
  attr.writeBigUInt64LE(BigInt(isRoot ? 0 : content.length), 8);
  attr.writeUInt32LE(isRoot ? 0o40755 : 0o100644, 60);
  attr.writeUInt32LE(1, 64);
  attr.writeUInt32LE(4096, 80);
  return attr;
}

function reply(unique, body = Buffer.alloc(0), error = 0) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(16 + body.length, 0);
  head.writeInt32LE(-error, 4);
  head.writeBigUInt64LE(unique, 8);
  try {
    writeSync(device, Buffer.concat([head, body]));
  } catch {} // who asked may have gone
}

function serve(request) {
  const opcode = request.readUInt32LE(4);
  const unique = request.readBigUInt64LE(8);
  const node = request.readBigUInt64LE(16);
  const body = request.subarray(40);
  switch (opcode) {
    case OP.init: {
      const answer = Buffer.alloc(64);
      answer.writeUInt32LE(7, 0);
      answer.writeUInt32LE(31, 4);
      answer.writeUInt32LE(1 << 20, 20); // max_write
      reply(unique, answer);
      console.log('ready');
      break;
    }
    case OP.lookup: {
      const entry = Buffer.alloc(40);
      entry.writeBigUInt64LE(2n, 0);
      reply(unique, Buffer.concat([entry, attributes(2n)]));
      break;
    }
    case OP.getattr:
      reply(unique, Buffer.concat([Buffer.alloc(16), attributes(node)]));
      break;
    case OP.open: {
      const answer = Buffer.alloc(16);
      answer.writeUInt32LE(DIRECT_IO, 8);
      reply(unique, answer);
      break;
    }
    case OP.read: {
      const from = Number(body.readBigUInt64LE(8));
      if (from >= Number(hangAt)) break;
      const bytes = content.subarray(from, from + body.readUInt32LE(16));
      setTimeout(() => reply(unique, bytes), Number(delay));
      break;
    }
    case OP.forget:
    case OP.interrupt:
      break;
    default:
      reply(unique, undefined, opcode === OP.flush || opcode === OP.release ? 0 : ENOSYS);
  }
}

const options = `fd=3,rootmode=40000,user_id=${process.getuid()},group_id=${process.getgid()}`;
const buffer = Buffer.alloc(1 << 21);
(function next() {
  read(device, buffer, 0, buffer.length, null, (error, bytes) => {
    if (error?.code === 'ENODEV') process.exit(0); // unmounted
    if (error === null) serve(Buffer.from(buffer.subarray(0, bytes)));
    next();
  });
})();
const mount = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'slow', folder], {
  stdio: ['ignore', 'inherit', 'inherit', device],
});
if (mount.status !== 0) process.exit(1);
