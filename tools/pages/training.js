// The page of `--report` of a training: curves, the confusion matrix, the worst mistakes, the
// norms of gradients and the time of a step by layer.
const steps = data.steps;
const epochs = data.epochs;
const validated = epochs.filter(epoch => epoch.validation);
const last = epochs[epochs.length - 1];

function at(id) { return document.getElementById(id); }
function clock(seconds) {
  const whole = Math.round(seconds);
  const two = number => String(number).padStart(2, '0');
  return whole < 60 ? `${fixed(seconds, seconds < 10 ? 1 : 0)} s` : whole < 3600
      ? `${Math.floor(whole / 60)}:${two(whole % 60)} min`
      : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)} h`;
}
function count(number) { return number.toLocaleString('en-US'); }
function right(part) { return `${count(part.correct)} of ${count(part.images)} right`; }

// --- The head ---

// The choice, and what it costs beside keeping all that the way back reads.
function checkpointingText() {
  const none = data.costs[0];
  const cost = data.costs.find(other => other.checkpointing === data.checkpointing);
  if (cost === none) return `none; ${bytes(none.arena_bytes)} of activations a step`;
  const more = (what, key) => (cost[key] > none[key]
    ? `, ${percent(cost[key] / none[key] - 1)} more ${what}` : '');
  return `${cost.checkpointing}; ${bytes(cost.arena_bytes)} of activations a step in place of ` +
    bytes(none.arena_bytes) + more('multiply-adds', 'multiply_adds') +
    more('bytes moved', 'moved_bytes');
}

at('title').textContent = `${data.model} on ${data.data}`;
at('facts').append(facts([
  ['device', data.device],
  ['driver', data.driver],
  ['precision', data.precision],
  ['checkpointing', checkpointingText()],
  ['images', data.validation_images > 0
    ? `${count(data.training_images)} to train on, ${count(data.validation_images)} to validate`
    : `${count(data.training_images)} to train on`],
  ['batch', String(data.batch)],
  ['classes', String(data.classes.length)],
  ['state', {
    running: `${epochs.length} of ${data.all_epochs} epochs done`,
    stopped: `stopped in epoch ${epochs.length + 1} of ${data.all_epochs}`,
    done: 'done',
  }[data.state]],
  ['written', `${data.date}, caldera ${data.version}`],
]));
at('command').textContent = data.command;

function makeTiles() {
  const tiles = [];
  if (validated.length > 0) {
    const now = validated[validated.length - 1];
    tiles.push(tile('Accuracy', fixed(now.validation.accuracy * 100, 2), '%',
        data.before ? `in validation; ${percent(data.before.accuracy)} before training`
          : `in validation; ${right(now.validation)}`));
    const best = validated.filter(epoch => epoch.best).pop();
    if (best) {
      tiles.push(tile('Best', fixed(best.validation.accuracy * 100, 2), '%',
          `after epoch ${best.epoch}; ${right(best.validation)}`));
    }
  } else if (last) {
    tiles.push(tile('Accuracy', fixed(last.accuracy * 100, 2), '%', 'of the last epoch’s images'));
  } else if (data.before) {
    tiles.push(tile('Accuracy', fixed(data.before.accuracy * 100, 2), '%', 'before training'));
  }
  if (last) {
    const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
    const waited = epochs.reduce((sum, epoch) => sum + epoch.waited, 0);
    const images = epochs.reduce((sum, epoch) => sum + epoch.images, 0);
    const validation = epochs.reduce((sum, epoch) => sum + epoch.validation_seconds, 0);
    tiles.push(tile('Speed', short(images / seconds), 'images/s',
        `waited for images ${percent(waited / seconds)} of the time`));
    tiles.push(tile('Time', ...clock(seconds + validation).split(' '),
        `${count(steps.count)} steps; ${clock(validation)} to validate`));
  }
  at('tiles').append(...tiles);
}
makeTiles();

// --- Curves over the epochs ---

if (steps.bucket > 1) at('bucket').textContent = `A point of the steps is ${steps.bucket} of them.`;

function stepPoints(values) {
  return steps.epoch.map((x, i) => ({x, y: values[i]})).filter(point => point.y !== null);
}
// One part a point: of epochs, or of the validation before the first and after each.
function epochPoints(key) { return epochs.map(epoch => ({x: epoch.epoch, y: epoch[key]})); }
function validationPoints(key) {
  const points = validated.map(epoch => ({x: epoch.epoch, y: epoch.validation[key]}));
  return data.before ? [{x: 0, y: data.before[key]}, ...points] : points;
}

function stepCurve(label, values, series) {
  return {
    label,
    data: stepPoints(values),
    borderColor: color(series) + (label === 'step' ? '66' : ''),
    backgroundColor: color(series) + (label === 'step' ? '66' : ''),
    borderWidth: label === 'step' ? 1 : 2,
    pointRadius: steps.epoch.length < 3 ? 2 : 0,
    pointHitRadius: 6,
    order: 3,
  };
}
function epochCurve(label, points, series) {
  return {
    label,
    data: points,
    borderColor: color(series),
    backgroundColor: color(series),
    borderWidth: 2.5,
    pointRadius: points.length > 60 ? 0 : 3,
    pointHitRadius: 8,
    tension: 0.15,
    clip: 8,
  };
}

function curves(datasets, y, figure) {
  return {
    type: 'line',
    data: {datasets: datasets.filter(set => set.data.length > 0)},
    options: {
      parsing: false,
      normalized: true,
      interaction: {mode: 'nearest', axis: 'x', intersect: false},
      scales: {
        x: axis('epochs', {type: 'linear', min: 0, max: Math.max(data.all_epochs, 1),
          ticks: {maxRotation: 0, precision: data.all_epochs > 2 ? 0 : undefined}}),
        y,
      },
      plugins: {
        legend: {display: datasets.length > 1, position: 'bottom',
          labels: {usePointStyle: true, pointStyle: 'line', boxWidth: 26}},
        tooltip: {callbacks: {
          title: items => (items.length > 0 ? `epoch ${short(items[0].parsed.x)}` : ''),
          label: item => `${item.dataset.label}: ${figure(item.parsed.y)}`,
        }},
      },
    },
  };
}

draw('loss', () => curves([
  epochCurve('validation', validationPoints('loss'), 'series-2'),
  epochCurve('epoch', epochPoints('loss'), 'series-1'),
  stepCurve('step', steps.loss, 'series-1'),
], axis('', {min: 0, title: {display: false}}), short));
draw('accuracy', () => curves([
  epochCurve('validation', validationPoints('accuracy'), 'series-2'),
  epochCurve('epoch', epochPoints('accuracy'), 'series-1'),
  stepCurve('step', steps.accuracy, 'series-1'),
], axis('', {min: 0, max: 1, title: {display: false}, ticks: {callback: y => `${fixed(y * 100, 0)}%`}}),
percent));
draw('rate', () => curves([stepCurve('learning rate', steps.learning_rate, 'series-3')],
    axis('', {min: 0, title: {display: false}}), short));
draw('norm', () => curves([stepCurve('gradient norm', steps.gradient_norm, 'series-4')],
    axis('', {min: 0, title: {display: false}}), short));

function makeLossScale() {
  if (data.precision !== 'mixed') return at('scale-card').remove();
  const all = steps.skipped.reduce((sum, skipped) => sum + skipped, 0);
  at('scale-skipped').textContent = all === 0 ? 'No step was skipped.'
    : `${count(all)} of ${count(steps.count)} steps were skipped, the points, for a gradient ` +
      'overflowed.';
  // It is halved and doubled, from 2^16 on: an axis of its powers of two.
  const powers = steps.loss_scale.map(Math.log2);
  const scale = power => count(2 ** power);
  draw('scale', () => {
    const line = {...stepCurve('loss scale', powers, 'series-5'), stepped: true};
    const skipped = {
      label: 'skipped',
      data: line.data.filter((_, i) => steps.skipped[i] > 0),
      showLine: false,
      pointRadius: 3.5,
      pointHitRadius: 6,
      backgroundColor: color('accent'),
      borderColor: color('accent'),
      order: 1,
    };
    const chart = curves([line, skipped], axis('', {title: {display: false},
      suggestedMin: Math.min(16, ...powers) - 1, suggestedMax: Math.max(16, ...powers) + 1,
      ticks: {precision: 0, callback: scale}}), scale);
    chart.options.plugins.legend.display = false;
    return chart;
  });
}
makeLossScale();

// --- Confusion ---

const kMatrixClasses = 24;  // More do not fit as a table.

function makeConfusion() {
  if (!data.confusion) return at('confusion-card').remove();
  at('confusion-after').textContent = data.validated_epoch > 0
    ? `Validation after epoch ${data.validated_epoch}.` : 'Validation before training.';
  const classes = data.classes;
  const totals = classes.map(() => 0);
  for (const [label, , images] of data.confusion) totals[label] += images;
  if (classes.length <= kMatrixClasses) {
    const counts = classes.map(() => classes.map(() => 0));
    for (const [label, predicted, images] of data.confusion) counts[label][predicted] = images;
    const cell = (label, predicted) => {
      const images = counts[label][predicted];
      const share = totals[label] > 0 ? images / totals[label] : 0;
      const made = element('td', {class: 'cell', title: `${classes[label]}, taken for ` +
        `${classes[predicted]}: ${images} of ${totals[label]}, ${percent(share)}`},
      images > 0 ? count(images) : '·');
      const series = label === predicted ? 'series-3' : 'accent';
      const strength = images > 0 ? 12 + 78 * (label === predicted ? share : Math.sqrt(share)) : 0;
      made.style.background = `color-mix(in srgb, var(--${series}) ${strength}%, var(--card))`;
      if (strength > 55) made.classList.add('strong');
      return made;
    };
    at('confusion-matrix').append(element('table', {class: 'matrix'},
        element('thead', {}, element('tr', {}, element('th', {}),
            ...classes.map(name => element('th', {scope: 'col'}, element('span', {}, name))),
            element('th', {class: 'number'}, 'right'))),
        element('tbody', {}, ...classes.map((name, label) => element('tr', {},
            element('th', {scope: 'row'}, name),
            ...classes.map((_, predicted) => cell(label, predicted)),
            element('td', {class: 'number'},
                totals[label] > 0 ? percent(counts[label][label] / totals[label]) : '–'))))));
  } else {
    at('confusion-chart').hidden = false;
    at('confusion-chart').style.height = '560px';
    draw('confusion', () => confusionChart(classes, totals));
  }
  const pairs = data.confusion.filter(([label, predicted]) => label !== predicted)
      .sort((a, b) => b[2] - a[2]).slice(0, 10);
  if (pairs.length > 0 && classes.length > 5) {
    at('confused-pairs').append(table([
      {title: 'most often confused', cell: row => classes[row[0]]},
      {title: 'taken for', cell: row => classes[row[1]]},
      {title: 'images', number: true, cell: row => count(row[2])},
      {title: 'of its own', number: true, cell: row => percent(row[2] / totals[row[0]])},
    ], pairs));
  }
}

function confusionChart(classes, totals) {
  const points = wanted => data.confusion.filter(([label, predicted]) =>
    (label === predicted) === wanted).map(([label, predicted, images]) =>
    ({x: predicted, y: label, images}));
  const strength = point => (point.raw
    ? Math.round(40 + 215 * point.raw.images / Math.max(totals[point.raw.y], 1)) : 255);
  const set = (label, series, wanted) => ({
    label,
    data: points(wanted),
    pointStyle: 'rect',
    radius: Math.max(2, 220 / classes.length),
    borderWidth: 0,
    backgroundColor: point => color(series) + strength(point).toString(16).padStart(2, '0'),
  });
  const names = (title, more) => axis(title, {type: 'linear', min: -0.5, max: classes.length - 0.5,
    grid: {display: false}, ...more,
    ticks: {callback: i => (Number.isInteger(i) ? classes[i] : ''), maxTicksLimit: 14}});
  return {
    type: 'scatter',
    data: {datasets: [set('right', 'series-3', true), set('wrong', 'accent', false)]},
    options: {
      scales: {x: names('taken for'), y: names('is', {reverse: true})},
      plugins: {
        legend: {position: 'bottom', labels: {usePointStyle: true, boxHeight: 8}},
        tooltip: {callbacks: {label: item => `${classes[item.raw.y]}, taken for ` +
          `${classes[item.raw.x]}: ${item.raw.images} of ${totals[item.raw.y]}`}},
      },
    },
  };
}
makeConfusion();

// --- Mistakes ---

function makeMistakes() {
  if (!data.mistakes) return at('mistakes-card').remove();
  if (data.mistakes.length === 0) {
    at('mistakes').replaceWith(element('p', {class: 'none'}, 'None: every image was right.'));
    return;
  }
  at('mistakes').append(...data.mistakes.map(mistake => element('figure', {},
      mistake.picture
        ? element('img', {src: mistake.picture, alt: `a ${data.classes[mistake.label]}`})
        : element('div', {class: 'gone'}, 'not there any more'),
      element('figcaption', {},
          element('div', {}, element('b', {}, data.classes[mistake.predicted]),
              ` ${percent(mistake.probability)}`),
          element('div', {}, 'is ', element('b', {class: 'own'}, data.classes[mistake.label]),
              ` ${percent(mistake.own_probability)}`),
          element('div', {class: 'file', title: mistake.file}, mistake.file)))));
  for (const picture of at('mistakes').querySelectorAll('img')) {
    picture.addEventListener('load', () => {
      if (picture.naturalWidth < 100) picture.classList.add('small');
    });
  }
}
makeMistakes();

// --- Bars by layer ---

function layerAxis() {
  return axis('', {type: 'category', labels: undefined, title: {display: false},
    grid: {display: false}, stacked: true, ticks: {autoSkip: false, color: color('text')}});
}

if (data.norms.length === 0) {
  at('norms-card').remove();
} else {
  if (data.first_step > 1) at('norms-since').textContent = ` from step ${data.first_step} on`;
  at('norms-chart').style.height = `${data.norms.length * 20 + 110}px`;
  draw('norms', () => {
    // A logarithm has no place for zero: there, and far below all others, is the axis's end.
    const positive = data.norms.flatMap(layer => [layer.low, layer.first, layer.last, layer.high])
        .filter(norm => norm > 0);
    const high = Math.max(...positive, 1e-12) * 1.3;
    const low = Math.max(Math.min(...positive, high) / 1.3, high * 1e-8);
    const tenths = logAxis('norm', {min: low, max: high});
    if (high / low > 1000) {  // Powers of ten alone, for there is no room for more.
      tenths.ticks.callback = norm => (/^[0.]*10*$/.test(logTick(norm)) ? logTick(norm) : '');
    }
    const points = (label, key, series, more) => ({
      label,
      type: 'scatter',
      data: data.norms.map(layer => (layer[key] >= low ? {x: layer[key], y: layer.name} : null)),
      backgroundColor: color(series),
      borderColor: color(series),
      pointRadius: 4,
      pointHoverRadius: 6,
      ...more,
    });
    return {
      type: 'bar',
      data: {
        labels: data.norms.map(layer => layer.name),
        datasets: [
          points('last epoch', 'last', 'series-1', {order: 0}),
          points('first epoch', 'first', 'series-2', {order: 1, pointStyle: 'rectRot'}),
          {
            label: 'all steps',
            data: data.norms.map(layer => [Math.max(layer.low, low), Math.max(layer.high, low)]),
            backgroundColor: color('series-8') + '50',
            borderRadius: 4,
            borderSkipped: false,
            maxBarThickness: 9,
            order: 2,
          },
        ],
      },
      options: {
        indexAxis: 'y',
        interaction: {mode: 'y', intersect: false},
        scales: {
          x: tenths,
          y: {...layerAxis(), stacked: false, labels: data.norms.map(layer => layer.name)},
        },
        plugins: {
          legend: {position: 'top', labels: {usePointStyle: true, boxHeight: 8}},
          tooltip: {
            filter: (item, i) => i === 0,
            callbacks: {
              title: items => items.map(item => data.norms[item.dataIndex].name),
              label: item => {
                const layer = data.norms[item.dataIndex];
                return [`last epoch ${short(layer.last)}`, `first epoch ${short(layer.first)}`,
                  `all steps ${short(layer.low)} to ${short(layer.high)}`];
              },
            },
          },
        },
      },
    };
  });
}

if (data.layer_times.length === 0) {
  at('layers-card').remove();
} else {
  const phases = [['forward', 'series-1'], ['backward', 'series-2'], ['update', 'series-3']];
  const sum = phase => data.layer_times.reduce((total, layer) => total + layer[phase], 0);
  at('layers-sum').textContent = phases.map(([phase]) => `${phase} ${milliseconds(sum(phase))}`)
      .join(', ') + '.';
  at('layers-chart').style.height = `${data.layer_times.length * 20 + 110}px`;
  const all = phases.reduce((total, [phase]) => total + sum(phase), 0);
  draw('layers', () => ({
    type: 'bar',
    data: {
      labels: data.layer_times.map(layer => layer.name),
      datasets: phases.map(([phase, series]) => ({
        label: phase,
        data: data.layer_times.map(layer => (layer[phase] > 0 ? layer[phase] : null)),
        backgroundColor: color(series),
        borderRadius: 2,
        maxBarThickness: 14,
      })),
    },
    options: {
      indexAxis: 'y',
      interaction: {mode: 'y', intersect: false},
      scales: {x: axis('milliseconds', {stacked: true}), y: layerAxis()},
      plugins: {
        legend: {position: 'top', labels: {usePointStyle: true, boxHeight: 8}},
        tooltip: {
          filter: item => item.raw !== null,
          callbacks: {label: item => `${item.dataset.label} ${milliseconds(item.raw)}, ` +
            `${percent(item.raw / all)} of the step`},
        },
      },
    },
  }));
}

// --- Epochs ---

if (epochs.length === 0) {
  at('epochs-card').remove();
} else {
  const columns = [
    {title: 'epoch', number: true, cell: row => String(row.epoch)},
    {title: 'loss', number: true, cell: row => fixed(row.loss, 4)},
    {title: 'right', number: true, cell: row => `${fixed(row.accuracy * 100, 2)}%`},
  ];
  if (validated.length > 0) {
    columns.push(
        {title: 'validation loss', number: true,
          cell: row => (row.validation ? fixed(row.validation.loss, 4) : '–')},
        {title: 'right', number: true,
          cell: row => (row.validation ? `${fixed(row.validation.accuracy * 100, 2)}%` : '–')},
        {title: '', cell: row => (row.best && row === validated.filter(epoch => epoch.best).pop()
          ? 'the best' : '')});
  }
  if (epochs.some(epoch => epoch.skipped_steps > 0)) {
    columns.push({title: 'steps skipped', number: true, cell: row => count(row.skipped_steps)});
  }
  columns.push(
      {title: 'time', number: true, cell: row => clock(row.seconds + row.validation_seconds)},
      {title: 'images/s', number: true, cell: row => short(row.images / row.seconds)});
  at('epochs-table').append(table(columns, epochs));
}
