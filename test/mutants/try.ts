import { MutatedTree } from './mutated-tree.ts';
const [patch, part, from, count, hours] = process.argv.slice(2);
const tree = await MutatedTree.create();
const t = performance.now();
try {
  if (patch !== '-') await tree.apply(patch);
  const { claim, output } = await tree.simulate({ from: +from, count: +count, hours: +hours, part });
  console.log(patch, claim, output.match(/BROKEN.*/)?.[0] ?? output.slice(-200), ((performance.now() - t) / 1000).toFixed(1));
} catch (e) { console.log(String(e).slice(0, 1500)); } finally { await tree.remove(); }
