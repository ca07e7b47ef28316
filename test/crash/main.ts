/** `npm run crash -- --kills 500 --seed S`: the long form of checkpoint-kills.test.ts. */
import { parseArgs } from 'node:util';
import { killSaves } from './kills.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
  },
});
const figures = await killSaves(Number(values.kills), Number(values.seed));
console.log(
  `seed ${values.seed}: ${figures.kills} kills, ${figures.inSaves} of them in a save; ` +
    `every copy was whole, the last one at seq ${figures.seq}`,
);
