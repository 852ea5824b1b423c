// What pages share: the data, elements, figures in human units, and charts that follow the theme.
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);

// element('td', {class: 'number'}, 'text' or elements...)
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function fixed(value, digits) {
  return value.toLocaleString('en-US',
      {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

// Three digits that count.
function short(value) {
  const size = Math.abs(value);
  if (size > 0 && size < 0.001) return value.toExponential(1);
  return fixed(value, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function milliseconds(ms) {
  return ms < 1 ? `${short(ms * 1000)} µs` : ms < 1000 ? `${short(ms)} ms` : `${short(ms / 1000)} s`;
}

function percent(share) { return `${fixed(share * 100, 1)}%`; }

function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  for (; count >= 1024 && unit + 1 < units.length; ++unit) count /= 1024;
  return `${short(count)} ${units[unit]}`;
}

// columns: [{title, number, cell: row => text or element}]
function table(columns, rows) {
  const classes = column => (column.number ? {class: 'number'} : {});
  return element('table', {},
      element('thead', {}, element('tr', {},
          ...columns.map(column => element('th', classes(column), column.title)))),
      element('tbody', {}, ...rows.map(row => element('tr', {},
          ...columns.map(column => element('td', classes(column), column.cell(row)))))));
}

function tile(name, figure, unit, more) {
  return element('div', {class: 'tile'}, element('div', {class: 'name'}, name),
      element('div', {class: 'figure'}, figure, element('small', {}, unit)),
      element('div', {class: 'more'}, more));
}

// A list of names and what they are.
function facts(pairs) {
  return element('dl', {class: 'facts'}, ...pairs.map(([name, text]) =>
      element('div', {}, element('dt', {}, name), element('dd', {}, text))));
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// On a logarithmic axis: 1, 2 and 5 of each power of ten.
function logTick(value) {
  const leading = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  const round = [1, 2, 5].some(digit => Math.abs(leading - digit) < 1e-6);
  return round ? String(Number(value.toPrecision(1))) : '';
}

function axis(title, options = {}) {
  return {
    title: {display: true, text: title, color: color('quiet')},
    grid: {color: color('line')},
    border: {color: color('line')},
    ...options,
    ticks: {color: color('quiet'), ...options.ticks},
  };
}

function logAxis(title, options = {}) {
  const line = color('line');
  return axis(title, {
    type: 'logarithmic',
    grid: {color: context => (context.tick && logTick(context.tick.value) ? line : 'transparent')},
    ...options,
    ticks: {callback: logTick, autoSkip: false},
  });
}

// Draws the chart that configure() describes, and again when the theme changes, for a canvas knows
// nothing of style sheets. The canvas says in data-points how many points it shows.
const charts = [];
function draw(id, configure) {
  const canvas = document.getElementById(id);
  const make = () => {
    Chart.defaults.color = color('text');
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    const chart = new Chart(canvas, configure());
    canvas.dataset.points = chart.data.datasets
        .filter(dataset => !dataset.decoration)
        .reduce((sum, dataset) => sum + dataset.data.filter(point => point !== null).length, 0);
    return chart;
  };
  charts.push({chart: make(), make});
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const drawn of charts) {
    drawn.chart.destroy();
    drawn.chart = drawn.make();
  }
});
