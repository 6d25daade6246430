// Data of the page over a sweep's runs. Text only ever enters the page as text nodes and attributes.
const data = JSON.parse(document.getElementById('data').textContent);
const views = [];  // functions that redraw from state
const byId = (id) => document.getElementById(id);

