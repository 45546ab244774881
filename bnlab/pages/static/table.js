"use strict";
// A table that sorts by its headings and shows a page of its rows at a time; both stand in the address.
(() => {
  const { element, keep } = bnlab.dom;
  const ROWS = 100;

  // `columns`: {key, label, number, wide, cell(row), sort(row)}. `keyOf(row)` tells rows apart.
  function make(parent, columns, keyOf, caption) {
    const head = element("tr");
    const body = element("tbody");
    const pager = element("nav", { class: "pager", "aria-label": "Pages of the table" });
    const table = element("table", {}, element("caption", { class: "hidden" }, caption), element("thead", {}, head), body);
    parent.replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, table), pager);
    let rows = [];

    function sorting() {
      const [key, way] = (bnlab.address.selection().get("sort") || "").split(".");
      const column = columns.find((one) => one.key === key);
      return { column, down: way === "down" };
    }

    function sorted() {
      const { column, down } = sorting();
      if (!column) return rows;
      const valueOf = column.sort || ((row) => row[column.key]);
      const order = column.number
        ? (a, b) => (valueOf(a) ?? -Infinity) - (valueOf(b) ?? -Infinity)
        : (a, b) => String(valueOf(a)).localeCompare(String(valueOf(b)), "en", { numeric: true });
      const placed = [...rows].sort(order);
      return down ? placed.reverse() : placed;
    }

    function drawHead() {
      const { column, down } = sorting();
      const cells = columns.map((one) => {
        const active = column === one;
        const way = active ? (down ? "descending" : "ascending") : null;
        const next = active ? (down ? "" : `${one.key}.down`) : `${one.key}.up`;
        const turn = () => {
          bnlab.address.select({ sort: next, page: "" });
          draw();
          head.querySelector(`[data-key="${one.key}"]`).focus();
        };
        const sign = element("span", { "aria-hidden": "true" }, active ? (down ? " ▼" : " ▲") : "");
        const button = element("button", { type: "button", class: "sort", "data-key": one.key, onclick: turn }, one.label, sign);
        return element("th", { scope: "col", "aria-sort": way, class: classes(one) }, one.label ? button : "");
      });
      head.replaceChildren(...cells);
    }

    function drawPager(pages, current) {
      const go = (to) => () => {
        bnlab.address.select({ page: to > 1 ? to : "" });
        draw();
      };
      const button = (text, to) => element("button", { type: "button", disabled: to < 1 || to > pages, onclick: go(to) }, text);
      const where = element("span", {}, `page ${current} of ${pages}`);
      pager.replaceChildren(...(pages > 1 ? [button("Previous", current - 1), where, button("Next", current + 1)] : []));
    }

    function draw() {
      drawHead();
      const placed = sorted();
      const pages = Math.max(1, Math.ceil(placed.length / ROWS));
      const current = Math.min(pages, Math.max(1, Number(bnlab.address.selection().get("page")) || 1));
      const shown = placed.slice((current - 1) * ROWS, current * ROWS);
      keep(body, shown.map((row) => [keyOf(row), row]), drawRow);
      drawPager(pages, current);
    }

    function drawRow(row) {
      const content = (one) => (one.cell ? one.cell(row) : String(row[one.key] ?? ""));
      return element("tr", {}, columns.map((one) => element("td", { class: classes(one), "data-label": one.label }, content(one))));
    }

    return {
      show(found) {
        rows = found;
        draw();
      },
    };
  }

  const classes = (column) => [column.number ? "number" : "", column.wide ? "wide" : "", column.class || ""].join(" ").trim() || null;

  // A table that only shows: heads are texts, cells texts or elements.
  function plain(heads, rows, caption) {
    const head = heads.map((text) => element("th", { scope: "col" }, text));
    const cellOf = (cell, i) => element("td", { "data-label": heads[i] }, cell);
    const body = rows.map((cells) => element("tr", {}, cells.map(cellOf)));
    const parts = [element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)];
    return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, element("table", {}, parts));
  }

  bnlab.table = { make, plain };
})();
