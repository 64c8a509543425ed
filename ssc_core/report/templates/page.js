"use strict";
// Filters, layers and the enlarged view of each gallery. Without script the page shows every example.
const dialog = document.querySelector("dialog");
let shown = [];
let current = 0;

for (const gallery of document.querySelectorAll("[data-gallery]")) {
  const cards = [...gallery.querySelectorAll(".example")];
  const filters = [...gallery.querySelectorAll("[data-tag]")];
  const category = gallery.querySelector("[data-category]");
  const words = gallery.querySelector("[data-text]");
  const visible = () => cards.filter((card) => !card.hidden);

  const update = () => {
    const tag = filters.find((button) => button.getAttribute("aria-pressed") === "true").dataset.tag;
    const text = words.value.trim().toLowerCase();
    for (const card of cards) {
      card.hidden =
        (tag !== "" && !card.dataset.tags.split(" ").includes(tag)) ||
        (category.value !== "" && card.dataset.category !== category.value) ||
        !`${card.querySelector("h4").textContent} ${card.querySelector("p").textContent}`.toLowerCase().includes(text);
    }
    gallery.querySelector(".count").textContent = `${visible().length} of ${cards.length} examples`;
  };

  for (const button of filters) {
    button.addEventListener("click", () => {
      filters.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      update();
    });
  }
  category.addEventListener("change", update);
  words.addEventListener("input", update);
  for (const box of gallery.querySelectorAll("[data-layer]")) {
    box.addEventListener("change", () => gallery.classList.toggle(`hide-${box.dataset.layer}`, !box.checked));
  }
  for (const card of cards) {
    card.querySelector("[data-open]").addEventListener("click", () => {
      shown = visible();
      show(shown.indexOf(card));
      dialog.showModal();
    });
  }
  update();
}

function show(index) {
  current = (index + shown.length) % shown.length;
  const card = shown[current];
  dialog.querySelector("h2").textContent = card.querySelector("h4").textContent;
  dialog.querySelector("[data-notes]").textContent = card.querySelector("p").textContent;
  const hidden = [...card.closest("[data-gallery]").classList].filter((name) => name.startsWith("hide-"));
  const picture = dialog.querySelector("[data-picture]");
  picture.className = hidden.join(" ");
  picture.replaceChildren(...[...card.querySelectorAll("[data-open] svg")].map((one) => one.cloneNode(true)));
}

// Where the clipboard is closed to the page, the command is selected for the reader to copy.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const command = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
    }
  });
}

dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(current - 1);
  if (event.key === "ArrowRight") show(current + 1);
});
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => shown[current].querySelector("[data-open]").focus());
