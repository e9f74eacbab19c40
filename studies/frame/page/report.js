/* Draws the two plots of a report and connects their controls. BokehJS stands above. */
"use strict";

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

function stored(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function unpacked({ type, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new ARRAYS[type](bytes.buffer);
}

async function draw(name) {
  await Bokeh.embed.embed_item(stored(`${name}-item`), `${name}-plot`);
  const plots = Bokeh.documents.at(-1);
  for (const box of document.querySelectorAll(`#${name} input[data-shows]`)) {
    const show = () => {
      for (const id of box.dataset.shows.split(" ")) {
        plots.get_model_by_id(id).visible = box.checked;
      }
    };
    box.addEventListener("change", show);
    show(); // a browser may keep what was switched off when a page is loaded again
  }
  return plots;
}

function connect(plots, data) {
  const boxes = [...document.querySelectorAll("#raster input[data-shows]")]; // one a layer
  const sources = boxes.map((box) => plots.get_model_by_id(box.dataset.shows).data_source);
  const neuron = unpacked(data.neuron);
  const step = unpacked(data.step);
  const choice = document.getElementById("image");
  const note = document.getElementById("image-note");
  const show = () => {
    const image = Number(choice.value);
    sources.forEach((source, layer) => {
      const part = image * data.layers.length + layer;
      const [start, end] = [data.starts[part], data.starts[part + 1]];
      const own = neuron.subarray(start, end);
      source.data = {
        neuron: own,
        time_ms: Float64Array.from(step.subarray(start, end), (one) => one * data.dt_ms),
        y: Float64Array.from(own, (one) => layer + (one + 0.5) / data.layers[layer]),
      };
    });
    note.textContent = data.images[image].note;
  };
  choice.addEventListener("change", show);
  show();
}

async function drawAll() {
  if (document.getElementById("time")) {
    await draw("time");
  }
  if (document.getElementById("raster")) {
    connect(await draw("raster"), stored("raster-data"));
  }
  document.documentElement.dataset.drawn = "yes";
}

drawAll().catch((error) => {
  document.getElementById("failure").hidden = false;
  throw error;
});
