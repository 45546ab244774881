"use strict";
// Addresses of pages and figures, and the selection of a page, which lives in its address.
(() => {
  const path = (...names) => names.map(encodeURIComponent).join("/");

  function withQuery(address, query) {
    const text = new URLSearchParams(query).toString();
    return text ? `${address}?${text}` : address;
  }

  const page = {
    experiment: (name, query = {}) => withQuery(`/experiment/${path(name)}`, query),
    claims: (query = {}) => withQuery("/claims", query),
    runs: (query = {}) => withQuery("/runs", query),
    run: (...key) => `/run/${path(...key)}`,
    compare: (keys) => withQuery("/compare", keys.map((key) => ["run", key.join("/")])),
  };

  function figure(experiment, setting, name, format, save = false) {
    return `/figure/${path(experiment, setting, `${name}.${format}`)}${save ? "?save" : ""}`;
  }

  function selection() {
    return new URLSearchParams(location.search);
  }

  function select(changes) {
    const query = selection();
    for (const [key, value] of Object.entries(changes)) {
      query.delete(key);
      const values = Array.isArray(value) ? value : [value];
      for (const one of values) if (one !== "" && one !== null && one !== undefined) query.append(key, one);
    }
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : "") + location.hash);
  }

  function documentAddress() {
    return `/data${location.pathname === "/" ? "" : location.pathname}${location.search}`;
  }

  // The token came in the address once; from now on a cookie carries it, and no bookmark should.
  if (selection().has("token")) select({ token: "" });

  bnlab.address = { page, figure, selection, select, documentAddress };
})();
