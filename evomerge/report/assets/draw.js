function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}
function draw(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  return fill(node, attributes, children);
}
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'on') for (const [event, action] of Object.entries(value)) node.addEventListener(event, action);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function clear(node) { node.replaceChildren(); return node; }

const isShare = (objective) => objective.unit === '%';
// Beside a label that does not say the unit, as TASK.tokens does.
const inUnit = (objective) => (isShare(objective) ? ', %' : '');
function number(value, percent, signed, decimals) {
  if (value === null || value === undefined || !isFinite(value)) return '–';
  let shown = percent ? (100 * value).toFixed(1) : decimals !== undefined ? value.toFixed(decimals) : String(Number(value.toPrecision(4)));
  if (Number(shown) === 0) shown = shown.replace('-', '');
  if (signed && Number(shown) > 0) shown = '+' + shown;
  return shown.replace('-', '−');
}
const after = (unit) => (unit ? `\u00a0${unit}` : '');
const withUnit = (value, i) => number(value, isShare(objectives[i])) + after(objectives[i].unit);
// Two digits of the interval's half-width.
function decimalsOf(score) {
  const half = score[1] === null || score[2] === null ? 0 : (score[2] - score[1]) / 2;
  return half > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(half)))) : undefined;
}
const estimate = (score, i, signed) => number(score[0], isShare(objectives[i]), signed, decimalsOf(score));
const withUnits = (score, i) => estimate(score, i) + after(objectives[i].unit);
function ends(score, i, signed) {
  if (!score || score[1] === null || score[2] === null) return '';
  return `[${[score[1], score[2]].map((v) => number(v, isShare(objectives[i]), signed, decimalsOf(score))).join(', ')}]`;
}
function short(text, length) {
  if (text.length <= length) return text;
  const half = Math.max(1, Math.floor((length - 1) / 2));
  return text.slice(0, length - 1 - half) + '…' + text.slice(text.length - half);
}

// A linear scale from [low, high] to pixels, with round ticks.
function scale(low, high, from, to, wanted) {
  if (!(high > low)) { const pad = Math.abs(low) * 0.05 || 0.5; low -= pad; high += pad; }
  const raw = (high - low) / Math.max(2, wanted || 5);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  const at = (v) => from + (to - from) * (v - low) / (high - low);
  at.ticks = ticks; at.step = step; at.low = low; at.high = high;
  return at;
}
const clamp = (at) => (v) => at(Math.max(at.low, Math.min(at.high, v)));
function tickLabel(value, step, percent) {
  const shown = percent ? 100 * value : value;
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(percent ? 100 * step : step) + 1e-9)));
  const fine = Math.abs((percent ? 100 * step : step) * 10 ** digits % 1) > 1e-6 ? digits + 1 : digits;
  return (Math.abs(shown) < 1e-12 ? 0 : shown).toFixed(fine).replace('-', '−');
}
function extent(values, margin) {
  const finite = values.filter((v) => v !== null && v !== undefined && isFinite(v));
  if (!finite.length) return [0, 1];
  let low = Infinity, high = -Infinity;
  for (const v of finite) { if (v < low) low = v; if (v > high) high = v; }
  const pad = (high - low) * margin || Math.abs(low) * 0.05 || 0.05;
  return [low - pad, high + pad];
}

// Marks that differ in shape as well as in colour.
function glyph(kind, x, y, digit) {
  if (kind === 'base') return [draw('path', { class: 'glyph', d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` })];
  if (kind === 'uniform') return [draw('path', { class: 'glyph', d: `M${x - 2} ${y - 6.5}h4v4.5h4.5v4h-4.5v4.5h-4v-4.5h-4.5v-4h4.5Z` })];
  if (kind === 'tuned') return [draw('path', { class: 'glyph', d: `M${x} ${y - 6.5}L${x + 6.5} ${y + 5}L${x - 6.5} ${y + 5}Z` })];
  if (kind === 'expert') {
    return [draw('rect', { class: 'glyph', x: x - 6.5, y: y - 6.5, width: 13, height: 13 }),
      draw('text', { class: 'digit', x, y: y + 3.6 }, digit)];
  }
  return [draw('circle', { class: 'ring', cx: x, cy: y, r: 9 }), draw('circle', { class: 'glyph', cx: x, cy: y, r: 5 })];
}
function legendEntry(kind, text, classes, digit) {
  const icon = draw('svg', { width: 16, height: 16, 'aria-hidden': 'true' },
    draw('g', { class: classes }, glyph(kind, 8, 8, digit)));
  return make('li', { title: text }, icon, make('span', null, text));
}

function choose(id) {
  if (id === state.member) return;
  state.member = id;
  refresh();
}
function refresh() { for (const view of views) view(); }
