// A tile in JupyterLab's launcher and a command in its palette. Written by hand in the form that JupyterLab loads
// prebuilt extensions in, so there is nothing to build.

(window._JUPYTERLAB = window._JUPYTERLAB || {})["jupyterhealth-jupyter"] = (() => {
  const OPEN = "jupyterhealth:console";
  const TITLE = "JupyterHealth Exchange";
  const MARK = '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" fill="#616161" d="M12 20.500C6.500 16.300 3 13 3 9.200 3 6.600 5 4.500 7.600 4.500c1.700 0 3.400.900 4.400 2.300 1-1.400 2.700-2.300 4.400-2.300C19 4.500 21 6.600 21 9.200c0 3.800-3.500 7.100-9 11.300z"/></svg>';
  let scope;

  // Of several versions of a shared module any will do: we use what has not changed for years.
  const shared = async (name) => (await Object.values(scope[name])[0].get())();

  const NOTEBOOK = {
    nbformat: 4, nbformat_minor: 5, metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
    cells: [{ cell_type: "code", id: "console", metadata: {}, outputs: [], execution_count: null, source: "import jhe_jupyter as jhe\n\njhe.connect().console()" }],
  };

  async function openNotebook(app) {
    const path = "JupyterHealth console.ipynb";
    const { contents } = app.serviceManager;
    const known = await contents.get(path, { content: false }).catch(() => null);
    if (!known) await contents.save(path, { type: "notebook", format: "json", content: NOTEBOOK });
    return app.commands.execute("docmanager:open", { path });
  }

  async function plugin() {
    const [{ ILauncher }, { ICommandPalette, IFrame, MainAreaWidget }, { LabIcon }, { PageConfig, URLExt }] = await Promise.all(
      ["@jupyterlab/launcher", "@jupyterlab/apputils", "@jupyterlab/ui-components", "@jupyterlab/coreutils"].map(shared));

    function openPortal(app, url, icon) {
      const content = new IFrame({ sandbox: ["allow-same-origin", "allow-scripts", "allow-downloads", "allow-forms", "allow-modals"] });
      content.url = url;
      const widget = new MainAreaWidget({ content });
      widget.id = "jupyterhealth-portal";
      Object.assign(widget.title, { label: TITLE, icon, closable: true });
      app.shell.add(widget, "main");
      app.shell.activateById(widget.id);
      return widget;
    }

    function activate(app, launcher, palette) {
      const icon = new LabIcon({ name: "jupyterhealth:mark", svgstr: MARK });
      const url = URLExt.join(PageConfig.getBaseUrl(), "jhe/portal");
      let open = null;
      app.commands.addCommand(OPEN, {
        label: TITLE, caption: "Patients, studies and observations, without code", icon,
        execute: async () => {
          if (open && !open.isDisposed) return app.shell.activateById(open.id);
          const there = await fetch(url, { method: "HEAD", credentials: "same-origin" });
          const theme = document.body.dataset.jpThemeLight === "false" ? "dark" : "light";
          open = there.ok ? openPortal(app, `${url}?theme=${theme}`, icon) : await openNotebook(app);
        },
      });
      if (launcher) launcher.add({ command: OPEN, category: "Other", rank: 0 });
      if (palette) palette.addItem({ command: OPEN, category: TITLE });
    }

    return { id: "jupyterhealth-jupyter:plugin", autoStart: true, optional: [ILauncher, ICommandPalette], activate };
  }

  return {
    init: (given) => { scope = given; },
    get: async () => {
      const found = scope["@jupyterlab/launcher"] ? await plugin() : [];  // Voilà loads us too and has no launcher
      return () => ({ default: found, __esModule: true });
    },
  };
})();
