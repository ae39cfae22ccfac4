// docs/errors.md
import { errors, note } from './tables.mjs';

/** Hint → the names of its errnos. */
function inversed(byErrno) {
  const names = {};
  for (const [errno, hint] of Object.entries(byErrno)) {
    names[hint] ??= [];
    names[hint].push(errno);
  }
  return names;
}

export const errorsDocument = `<!-- ${note} -->
# Errors

Every failure is a \`CaptureError\` with \`code\`, \`message\` (what and where), \`hint\` (the fix) and, where they apply,
\`backend\`, \`uri\`, \`syscall\`, \`errno\` and \`position\`. Codes are stable; messages are not. Whatever is passed to a function or method, of
whatever type, ends so; two things do not:

- An \`AbortSignal\` rejects with its own reason.
- Reading beyond the end by an index is a \`RangeError\`, as of a \`DataView\`: \`batch.data(i)\`, \`copy(i)\`, \`timeNs(i)\`; \`packet.u8(o)\`, \`u16(o)\`, \`u32(o)\`;
  \`decoded.src(i)\`, \`dst(i)\`.

Messages and hints can be printed as they are: control characters, line ends and marks that turn text around are escaped in what they quote (a
filter is shown on a line of its own), and what is long is shortened. \`uri\` is as you gave it.

| code | meaning | usual fix |
|---|---|---|
${errors.map((e) => `| \`RINGTAP_${e.code}\` | ${e.meaning} | ${e.hint.replaceAll('|', '\\|')} |`).join('\n')}

Where \`errno\` says more, the hint is about that. A missing right (\`RINGTAP_NO_PERMISSION\`) brings what helps where the process runs: as an ordinary user
\`setcap\` or root; in a container that lacks the capability \`--cap-add\`; in a systemd unit \`AmbientCapabilities=\`; and where the process has the right, which
policy may refuse the call all the same.

| code | errno | fix |
|---|---|---|
${errors.flatMap(({ code, byErrno = {} }) => Object.entries(inversed(byErrno)).map(([hint, names]) => `| \`RINGTAP_${code}\` | ${names.join(', ')} | ${hint.replaceAll('|', '\\|')} |`)).join('\n')}

What does not end a capture, but must not pass in silence, is a process warning (\`process.on('warning', …)\`) of the type \`RingtapWarning\`:

- \`RINGTAP_FALLBACK\`: the method asked for does not work here; the message says which is used instead, and why.
- \`RINGTAP_TAKES_TRAFFIC\`: the capture takes packets away from the host's network stack. Once a process.
- \`RINGTAP_WORKER\`: a worker of \`openParallel()\` has ended when it was not to, and another one goes on with its share, unless \`onFault\` is told; or all have ended so, and nobody has asked by \`finished()\` or \`reports()\`.
- \`RINGTAP_RENAMED_OPTION\` (of the type \`DeprecationWarning\`): an option was given by an older name. Once a name.
- \`RINGTAP_INTERFACE_DOWN\`: the interface of an \`afxdp:\` capture went down; it goes on when it is up again.
- \`RINGTAP_REMOTE_SILENT\`: the daemon of an \`rpcap:\` capture sends packets, and none arrives; or it counts packets, and sends none.
- \`RINGTAP_SERVE_CALLBACK\`: a function that \`serve()\` was given has failed: \`authenticate\`, and nobody was let in by it, or \`onEvent\`.
- \`RINGTAP_REMOTE_CONNECTION\`: what connected to \`listen()\` became no capture; the message says why. Each once, and a hundred at most.
`;
