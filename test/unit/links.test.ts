// A link in a document leads somewhere: to a file that is there, and to a heading in it.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../support/child.js';

const documents = ['.', 'docs', 'native', 'bench', 'packages', 'examples']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  .filter((path) => path.endsWith('.md') && !/node_modules|bench\/results\//.test(path));

const textOf = (path: string) => readFileSync(join(root, path), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');

/** The anchors that GitHub makes of headings. */
function anchorsOf(path: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading] of textOf(path).matchAll(/^#+ +(.*?) *$/gm)) {
    const words = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    anchors.add(before === 0 ? slug : `${slug}-${before}`);
  }
  return anchors;
}

test.each(documents)('no link of %s leads nowhere', (path) => {
  const text = textOf(path).replaceAll(/`[^`\n]*`/g, (code) => (code.includes('](') ? '' : code));
  const nowhere: string[] = [];
  for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link!)) continue;
    const [file = '', anchor] = link!.split('#');
    const target = file === '' ? path : join(dirname(path), file);
    if (!existsSync(join(root, target))) nowhere.push(link!);
    else if (anchor !== undefined && statSync(join(root, target)).isFile() && !anchorsOf(target).has(anchor)) {
      nowhere.push(link!);
    }
  }
  expect(nowhere).toEqual([]);
});
