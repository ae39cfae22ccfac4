// Traces to read.
import { open, openWriter } from 'ringtap';

export async function writeTrace(path, uri) {
  const source = await open(uri);
  const writer = await openWriter(`pcap:${path}`, { overwrite: true });
  for await (const batch of source) await writer.write(batch);
  await writer.close();
  await source.close();
}
