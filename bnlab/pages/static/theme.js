"use strict";
// Light or dark: as the system says, unless the switch was used. Loaded before the page is drawn.
window.bnlab = {};
(() => {
  const CHOICES = ["system", "light", "dark"];
  const root = document.documentElement;
  let chosen = "system";
  try {
    chosen = localStorage.getItem("bnlab-theme") || "system";
  } catch {
    // Without storage the switch lasts as long as the page.
  }

  function apply(theme = chosen) {
    root.dataset.theme = CHOICES.includes(theme) ? theme : "system";
    document.dispatchEvent(new CustomEvent("bnlab:theme"));
  }

  function dark() {
    const theme = root.dataset.theme;
    return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  }

  function bind(button) {
    const show = () => {
      button.textContent = `Theme: ${root.dataset.theme}`;
    };
    button.addEventListener("click", () => {
      chosen = CHOICES[(CHOICES.indexOf(root.dataset.theme) + 1) % CHOICES.length];
      try {
        localStorage.setItem("bnlab-theme", chosen);
      } catch {
        // As above.
      }
      apply();
      show();
    });
    show();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply());
  // Paper is white.
  addEventListener("beforeprint", () => apply("light"));
  addEventListener("afterprint", () => apply());
  apply();
  bnlab.theme = { bind, dark };
})();
