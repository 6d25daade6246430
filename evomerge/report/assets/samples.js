// Answers of base, best expert and the chosen member to the same items.
const sampled = data.samples;
const paging = { task: null, only: true, from: 0, per: 3 };

function sampleModels(task) {
  const expert = sampled.counts[task].expert;
  const rows = [['base', 'base'], [expert, `best expert, ${(data.baselines.find((b) => b.name === expert) || { short: expert }).short}`], [state.member, `member ${state.member}`]];
  return rows.filter(([key], i) => sampled.answers[key] && rows.findIndex((r) => r[0] === key) === i);
}
function scoreOf(key, n) {
  const given = sampled.answers[key] && sampled.answers[key][n];
  return given ? given[1] : null;
}
function verdict(value, task) {
  if (value === null || value === undefined) return make('span', { class: 'quiet' }, '–');
  const { right, members } = sampled.counts[task];
  if (!Object.values(members).some(Boolean)) return make('span', null, number(value));
  return value === right ? make('span', { class: 'right' }, '✓ right') : make('span', { class: 'wrong' }, '✗ wrong');
}
function answerText(given, item) {
  if (!given) return 'no answer recorded';
  const [answer] = given;
  if (typeof answer === 'number') return `${String.fromCharCode(65 + answer)}. ${item.options[answer]}`;
  if (typeof answer === 'string') return answer + (given[2] ? ' [cut at the length limit]' : '');
  if (answer) return `${answer.greedy ? 'would write the expected answer' : 'would write something else'} (log-probability ${number(answer.logprob)})`;
  return '–';
}
function sampleCard(n) {
  const item = sampled.items[n];
  const question = make('div', null, make('div', { class: 'question' }, item.question));
  if (item.options.length > 1) {
    question.append(make('ol', null, item.options.map((option, k) => make('li', { class: item.right.includes(k) ? 'gold' : null }, option + (item.right.includes(k) ? ' ✓' : '')))));
  } else if (item.gold) {
    question.append(make('p', { class: 'note' }, 'expected: ', make('span', { class: 'gold' }, item.gold)));
  }
  const lines = sampleModels(item.task).map(([key, name]) => make('tr', null, make('th', { scope: 'row' }, name),
    make('td', null, answerText(sampled.answers[key][n], item)), make('td', null, verdict(scoreOf(key, n), item.task))));
  const table = make('table', null, sampleColumns(), make('tbody', null, lines));
  return make('div', { class: 'sample' }, question, table);
}
function sampleColumns() {
  return make('colgroup', null, make('col', { class: 'who' }), make('col'), make('col', { class: 'score' }));
}

function sampleOrder(task) {
  const expert = sampled.counts[task].expert;
  const all = sampled.items.map((item, n) => n).filter((n) => sampled.items[n].task === task);
  const gap = (n) => {
    const ours = scoreOf(state.member, n), theirs = scoreOf(expert, n);
    return ours === null || theirs === null ? 0 : sampled.counts[task].right ? ours - theirs : theirs - ours;
  };
  const up = all.filter((n) => gap(n) > 0), down = all.filter((n) => gap(n) < 0), same = all.filter((n) => gap(n) === 0);
  const turns = [];
  for (let k = 0; k < Math.max(up.length, down.length); k++) turns.push(...[up[k], down[k]].filter((n) => n !== undefined));
  return paging.only && turns.length ? turns : [...turns, ...same];
}
function countSentence(task) {
  const counts = sampled.counts[task];
  const table = counts.members[state.member];
  const where = sampled.split === 'test' ? 'held-out' : 'search';
  if (!table) return `Judged by ${counts.metric} on ${where} items.`;
  const n = table.reduce((a, b) => a + b, 0);
  return `Of ${n} ${where} items, both are right on ${table[0]}, only the member on ${table[1]}, only the best expert on ${table[2]}, neither on ${table[3]} (${counts.metric}). Shown below in turn: items that only one of the two has right.`;
}
function drawSamples() {
  const host = byId('samples');
  if (!host) return;
  const focused = document.activeElement && host.contains(document.activeElement) ? document.activeElement.id : null;
  const tasks = Object.keys(sampled.counts).filter((t) => sampled.items.some((i) => i.task === t));
  if (!tasks.includes(paging.task)) paging.task = tasks[0];
  const again = (change) => { Object.assign(paging, change); drawSamples(); };
  const order = sampleOrder(paging.task);
  if (paging.from >= order.length) paging.from = 0;
  const picker = make('select', { id: 'sample-task', on: { change: (e) => again({ task: e.target.value, from: 0 }) } },
    tasks.map((t) => make('option', { value: t, selected: t === paging.task ? '' : null }, t)));
  const only = make('input', { type: 'checkbox', id: 'sample-only', on: { change: (e) => again({ only: e.target.checked, from: 0 }) } });
  only.checked = paging.only;
  const until = Math.min(order.length, paging.from + paging.per);
  const back = make('button', { type: 'button', id: 'sample-back', disabled: paging.from === 0 ? '' : null, on: { click: () => again({ from: Math.max(0, paging.from - paging.per) }) } }, 'Back');
  const next = make('button', { type: 'button', id: 'sample-next', disabled: until >= order.length ? '' : null, on: { click: () => again({ from: paging.from + paging.per }) } }, 'More');
  clear(host).append(
    make('div', { class: 'controls' }, make('label', null, 'task ', picker), make('label', null, 'member ', memberSelect()), make('label', null, only, 'only where member and expert differ')),
    make('p', { class: 'note' }, countSentence(paging.task)),
    ...order.slice(paging.from, until).map(sampleCard),
    make('div', { class: 'pager' }, back, next, make('span', null, order.length ? `${paging.from + 1}–${until} of ${order.length} examples` : 'no examples')));
  if (focused && byId(focused)) byId(focused).focus({ preventScroll: true });
}
function memberSelect() {
  return make('select', { id: 'sample-member', on: { change: (e) => choose(e.target.value) } },
    data.members.map((m) => make('option', { value: m.id, selected: m.id === state.member ? '' : null }, m.id)));
}
views.push(drawSamples);
