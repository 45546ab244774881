"use strict";
// The step that is looked at: a slider over all recorded steps, in the address once it was moved.
(() => {
  const { element } = bnlab.dom;
  const { address, format, scales } = bnlab;

  function make(moved) {
    const slider = element("input", { type: "range", id: "step", min: 0, step: 1 });
    const shown = element("output", { for: "step" });
    const node = element("div", { class: "stepper" }, element("label", { for: "step" }, "Step"), slider, shown);
    let steps = [0];
    let asked = address.selection().get("step");

    const current = () => steps[Number(slider.value)];

    function say() {
      const text = format.grouped.format(current());
      shown.textContent = text;
      slider.setAttribute("aria-valuetext", `step ${text}`);
    }

    function take() {
      asked = String(current());
      say();
      moved();
    }

    const keep = () => address.select({ step: asked });

    // Until the slider was moved it stands at the last record, which moves on while a run goes on.
    function offer(found) {
      steps = found.length ? found : [0];
      slider.max = steps.length - 1;
      slider.value = asked === null || !Number.isFinite(Number(asked)) ? steps.length - 1 : Math.max(0, scales.latest(steps, Number(asked)));
      say();
    }

    function go(step) {
      slider.value = Math.max(0, scales.latest(steps, step));
      take();
      keep();
    }

    slider.addEventListener("input", take);
    slider.addEventListener("change", keep);
    return { node, offer, go, current };
  }

  bnlab.stepper = { make };
})();
