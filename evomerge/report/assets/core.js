// Data, state, drawing primitives. Text only ever enters the page as text nodes and attributes.
const data = JSON.parse(document.getElementById('data').textContent);
const objectives = data.objectives;
const state = {
  member: (data.members.find((m) => m.knee && m.test) || data.members[0] || {}).id || null,
  split: data.shown,
  x: 0,
  y: Math.min(1, objectives.length - 1),
  zoom: false,
};
const views = [];  // functions that redraw from state
let numberOfExperts = 0;
for (const b of data.baselines) b.digit = b.kind === 'expert' ? String(++numberOfExperts) : '';

const byId = (id) => document.getElementById(id);
const member = () => data.members.find((m) => m.id === state.member);

