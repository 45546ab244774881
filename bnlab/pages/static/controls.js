"use strict";
// Filters of lists: what is chosen stands in the address, under the filter's name.
(() => {
  const { element } = bnlab.dom;

  // `choices` are [value, text]; the empty value admits everything.
  function choice(name, label, choices, changed) {
    const select = element("select", { id: `filter-${name}`, name });
    const control = element("label", { class: "control" }, element("span", {}, label), select);
    select.addEventListener("change", () => {
      bnlab.address.select({ [name]: select.value, page: "" });
      changed();
    });
    const offer = (offered, chosen = bnlab.address.selection().get(name) || "") => {
      const all = offered.some(([value]) => value === chosen) ? offered : [...offered, [chosen, chosen]];
      const made = all.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
      select.replaceChildren(...made);
    };
    offer(choices);
    return { node: control, offer };
  }

  function search(name, label, changed) {
    const input = element("input", { type: "search", id: `filter-${name}`, name, autocomplete: "off" });
    input.value = bnlab.address.selection().get(name) || "";
    let waiting = 0;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        bnlab.address.select({ [name]: input.value, page: "" });
        changed();
      }, 120);
    });
    return { node: element("label", { class: "control grow" }, element("span", {}, label), input) };
  }

  function tick(name, label, changed) {
    const input = element("input", { type: "checkbox", id: `filter-${name}`, name });
    input.checked = bnlab.address.selection().has(name);
    input.addEventListener("change", () => {
      bnlab.address.select({ [name]: input.checked ? "1" : "", page: "" });
      changed();
    });
    return { node: element("label", { class: "control tick" }, input, element("span", {}, label)) };
  }

  const distinct = (rows, of) => [...new Set(rows.map(of))].sort((a, b) => String(a).localeCompare(String(b)));
  const choicesOf = (rows, of, all = "all") => [["", all], ...distinct(rows, of).map((value) => [value, value])];

  bnlab.controls = { choice, search, tick, distinct, choicesOf };
})();
