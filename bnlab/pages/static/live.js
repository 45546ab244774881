"use strict";
// Asks for the page's document again every second while the page is looked at; unchanged documents are not sent.
(() => {
  const SECONDS = 1;
  const SECONDS_AFTER_FAILURE = 5;
  let look = async () => "";

  function watch(show) {
    const sign = document.getElementById("live");
    let tag = "";
    let asked = 0;

    look = async () => {
      const address = bnlab.address.documentAddress();
      const number = ++asked;
      const answer = await fetch(address, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 304) return "live";
      if (answer.status === 401) return "the server was started again: open the address it printed";
      if (answer.status === 404) return "this is no longer in the results folder";
      if (!answer.ok) throw new Error(String(answer.status));
      const data = await answer.json();
      if (number !== asked) return "live"; // a later question, of another selection, is on its way
      tag = answer.headers.get("ETag") || "";
      show(data);
      return "live";
    };

    async function tell() {
      try {
        sign.textContent = await look();
      } catch {
        sign.textContent = "the server does not answer";
      }
      sign.dataset.state = sign.textContent === "live" ? "live" : "away";
    }

    async function again() {
      if (document.visibilityState === "visible") await tell();
      setTimeout(again, 1000 * (sign.dataset.state === "away" ? SECONDS_AFTER_FAILURE : SECONDS));
    }

    setTimeout(again, 1000 * SECONDS);
  }

  // After the selection changed.
  const now = () => look().catch(() => "");

  bnlab.live = { watch, now };
})();
