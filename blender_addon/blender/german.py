"""The add-on in German. tests/addon/test_translations.py says what is missing here and what nobody says any longer."""

from __future__ import annotations

GERMAN: dict[str, str] = {
    # Panels and their sentences
    "Backend": "Backend",
    "Backend {version} in {folder}": "Backend {version} in {folder}",
    "Clip": "Clip",
    "Finished Clips": "Fertige Clips",
    "Look": "Aussehen",
    "Queue": "Warteschlange",
    "Strip": "Streifen",
    "Time and Size": "Dauer und Größe",
    "Generated Clip": "Erzeugter Clip",
    "Choose a scene in the sequencer's header first.": "Wähle zuerst eine Szene in der Kopfzeile des Sequenzers.",
    "Made for {rate} frames a second.": "Gemacht für {rate} Bilder pro Sekunde.",
    "Delivered at {rate}, with new pictures between.": "Geliefert mit {rate}, mit neuen Bildern dazwischen.",
    "Nothing is being generated.": "Es wird nichts erzeugt.",
    "The backend is asked for its styles.": "Das Backend wird nach seinen Stilen gefragt.",
    "The backend is ready.": "Das Backend ist bereit.",
    "The backend is ready. It works on {device}.": "Das Backend ist bereit. Es rechnet auf {device}.",
    "The backend is starting.": "Das Backend startet.",
    "The style makes at most {frames}: {seconds}.": "Der Stil macht höchstens {frames}: {seconds}.",
    "The view transform {view} changes the colors of clips.": (
        "Die Ansichtstransformation {view} ändert die Farben der Clips."
    ),
    "Up to {frames}; sides from {least} to {most} pixels in steps of {step}.": (
        "Bis zu {frames}; Seiten von {least} bis {most} Pixel in Schritten von {step}."
    ),
    "What it must not show": "Was nicht zu sehen sein darf",
    "What the clip shows": "Was der Clip zeigt",
    "{count} more in the queue.": "{count} weitere in der Warteschlange.",
    "{frames} of {width} × {height} pixels at {fps} a second; in the edit {length} at {rate}, which is {seconds}.": (
        "{frames} mit {width} × {height} Pixeln, {fps} pro Sekunde; im Schnitt {length} bei {rate}, also {seconds}."
    ),
    "{style}, seed {seed}, {frames} of {width} × {height}": (
        "{style}, Startwert {seed}, {frames} mit {width} × {height}"
    ),
    # How far a clip is
    "Asking the backend for the clip": "Das Backend wird nach dem Clip gefragt",
    "Cancelled": "Abgebrochen",
    "Cancelling": "Wird abgebrochen",
    "Carrying the motion over": "Die Bewegung wird übertragen",
    "Connecting to the backend": "Die Verbindung zum Backend wird aufgebaut",
    "Fetching the frames": "Die Bilder werden geholt",
    "Finished": "Fertig",
    "Finished. It is shown when nothing is being moved or rendered": (
        "Fertig. Er erscheint, wenn nichts mehr bewegt oder gerendert wird"
    ),
    "Finished. Its strip is not in this file": "Fertig. Sein Streifen ist nicht in dieser Datei",
    "Fitting the frame rate": "Die Bildrate wird angepasst",
    "In the edit": "Im Schnitt",
    "Loading the models": "Die Modelle werden geladen",
    "Making the pictures": "Die Bilder entstehen",
    "No backend runs. The clip waits for its next start": (
        "Es läuft kein Backend. Der Clip wartet auf dessen nächsten Start"
    ),
    "Painting": "Es wird gemalt",
    "Reading the footage": "Das Filmmaterial wird gelesen",
    "Reading the prompt": "Der Prompt wird gelesen",
    "Smoothing the motion": "Die Bewegung wird geglättet",
    "Starting the backend": "Das Backend wird gestartet",
    "Storing the clip": "Der Clip wird gespeichert",
    "The queue is paused": "Die Warteschlange ist angehalten",
    "Waiting for its turn": "Wartet, bis er an der Reihe ist",
    "about {time} left": "noch etwa {time}",
    "no news for {time}": "keine Nachricht seit {time}",
    "{count} before it": "{count} vor ihm",
    "{count} frame": "{count} Bild",
    "{count} frames": "{count} Bilder",
    "{done} of {total} MB": "{done} von {total} MB",
    "{step} of {steps}": "{step} von {steps}",
    # Buttons and their tooltips
    "Again with New Seed": "Nochmals mit neuem Startwert",
    "Ask the backend for finished clips: those of a Blender that was closed, of another file, of a terminal": (
        "Das Backend nach fertigen Clips fragen: aus einem geschlossenen Blender, einer anderen Datei, einem Terminal"
    ),
    "Cancel": "Abbrechen",
    "Cancel All": "Alle abbrechen",
    "Choose another seed": "Einen anderen Startwert wählen",
    "Copy Command": "Befehl kopieren",
    "Copy the command, to paste it into a terminal": "Den Befehl kopieren, um ihn in ein Terminal einzufügen",
    "End the backend, which frees all of its memory; unfinished jobs wait for the next start": (
        "Das Backend beenden, was all seinen Speicher freigibt; Unfertiges wartet auf den nächsten Start"
    ),
    "End the generation of a clip": "Die Erzeugung eines Clips beenden",
    "Find Clips": "Clips finden",
    "Generate": "Erzeugen",
    "Generate the clip again for the strips that wait for it, or that show it": (
        "Den Clip noch einmal erzeugen, für die Streifen, die auf ihn warten oder ihn zeigen"
    ),
    "Insert": "Einfügen",
    "Let the backend start jobs again": "Das Backend wieder Clips beginnen lassen",
    "Let the backend start no further job; what is being made is finished": (
        "Das Backend keinen weiteren Clip beginnen lassen; was begonnen ist, wird fertig"
    ),
    "Make another picture of the same words": "Ein anderes Bild aus denselben Worten machen",
    "New Seed": "Neuer Startwert",
    "Open Folder": "Ordner öffnen",
    "Open the clip's folder in the file browser of this computer": (
        "Den Ordner des Clips im Dateimanager dieses Rechners öffnen"
    ),
    "Pause": "Anhalten",
    "Pause Queue": "Warteschlange anhalten",
    "Put a finished clip into the edit at the playhead": "Einen fertigen Clip am Abspielkopf in den Schnitt einfügen",
    "Put a strip at the playhead that waits for a clip, and generate the clip": (
        "Am Abspielkopf einen Streifen anlegen, der auf einen Clip wartet, und den Clip erzeugen"
    ),
    "Resume": "Fortsetzen",
    "Resume Queue": "Warteschlange fortsetzen",
    "Set the panel to what made the active strip": "Das Bedienfeld auf das setzen, woraus der aktive Streifen entstand",
    "Settings from Strip": "Einstellungen vom Streifen",
    "Show colors as they are in the files: set the scene's view transform to Standard": (
        "Farben zeigen, wie sie in den Dateien sind: die Ansichtstransformation der Szene auf Standard setzen"
    ),
    "Start": "Starten",
    "Start Backend": "Backend starten",
    "Start the backend, to see its styles": "Das Backend starten, um seine Stile zu sehen",
    "Stop": "Beenden",
    "Stop Backend": "Backend beenden",
    "Try Again": "Noch einmal versuchen",
    "Use View Standard": "Ansicht Standard verwenden",
    # Fields, what can be chosen, and tooltips
    "-1: a new one": "-1: ein neuer",
    "A channel, or the next free one above it": "Ein Kanal oder der nächste freie darüber",
    "Above Active Strip": "Über dem aktiven Streifen",
    "Above Everything": "Über allem",
    "Active Strip": "Aktiver Streifen",
    "All of the clip is seen": "Der ganze Clip ist zu sehen",
    "Another number gives another clip": "Eine andere Zahl ergibt einen anderen Clip",
    "As long as the active strip": "So lang wie der aktive Streifen",
    "As long as the preview range, or as the scene if there is none": (
        "So lang wie der Vorschaubereich, oder wie die Szene, wenn es keinen gibt"
    ),
    "As long as the style's models make clips best": "So lang, wie die Modelle des Stils Clips am besten machen",
    "Channel": "Kanal",
    "Channel, or the first to try; 0: as Place says": "Kanal, oder der erste Versuch; 0: wie Platz es sagt",
    "Choose a new seed with every Generate": "Mit jedem Erzeugen einen neuen Startwert wählen",
    "Clip's Own": "Die des Clips",
    "Scene's, Smooth": "Die der Szene, weich",
    "As long, with new pictures between the clip's own, made along what moves in it": (
        "Ebenso lang, mit neuen Bildern zwischen denen des Clips, die seinen Bewegungen folgen"
    ),
    "Clips of Unsaved Files": "Clips ungespeicherter Dateien",
    "Each frame of the clip is one frame of the scene, at whatever speed that is": (
        "Jedes Bild des Clips ist ein Bild der Szene, wie schnell er damit auch läuft"
    ),
    "Fill": "Füllen",
    "First frame; left out: the playhead": "Erstes Bild; weggelassen: der Abspielkopf",
    "Fit": "Einpassen",
    "Frame Rate": "Bildrate",
    "Frames": "Bilder",
    "Frames of the scene": "Bilder der Szene",
    "Height": "Höhe",
    "Height of the clip, in the style's steps": "Höhe des Clips, in den Schritten des Stils",
    "How long the clip is": "Wie lang der Clip ist",
    "How long the clip is in the edit": "Wie lang der Clip im Schnitt ist",
    "How many pixels the clip has": "Wie viele Pixel der Clip hat",
    "How much work goes into the clip": "Wie viel Arbeit in den Clip geht",
    "How the clip fills the picture": "Wie der Clip das Bild füllt",
    "Length": "Länge",
    "Length of the clip": "Länge des Clips",
    "Length of the clip in the scene": "Länge des Clips in der Szene",
    "Live Preview": "Laufende Vorschau",
    "Look of the clip": "Aussehen des Clips",
    "Name of a preset; empty: the style's own": "Name einer Vorgabe; leer: die des Stils",
    "Name of a style; empty: the backend's first": "Name eines Stils; leer: der erste des Backends",
    "Name of the preset; empty: the style's own": "Name der Vorgabe; leer: die des Stils",
    "Name of the style; empty: the backend's first": "Name des Stils; leer: der erste des Backends",
    "New Seed Each Time": "Jedes Mal neuer Startwert",
    "One pixel of the clip is one pixel of the picture": "Ein Pixel des Clips ist ein Pixel des Bildes",
    "Original": "Original",
    "Pixels": "Pixel",
    "Pixels; 0: as the style does best": "Pixel; 0: wie der Stil es am besten kann",
    "Place": "Platz",
    "Preview Range": "Vorschaubereich",
    "Prompt": "Prompt",
    "Quality": "Qualität",
    "Return when the clip is in the edit. Without a window alone: a window never waits": (
        "Zurückkehren, wenn der Clip im Schnitt ist. Nur ohne Fenster: ein Fenster wartet nie"
    ),
    "Scene's": "Die der Szene",
    "Scene's Aspect": "Seitenverhältnis der Szene",
    "Seconds": "Sekunden",
    "Seed": "Startwert",
    "Show clips in the panel Clip while they are made, coarsely": (
        "Clips im Bedienfeld Clip zeigen, während sie entstehen, in groben Zügen"
    ),
    "Size": "Größe",
    "Stretch": "Strecken",
    "Style": "Stil",
    "Style's Own": "Wie der Stil",
    "The backend does not have this style": "Das Backend hat diesen Stil nicht",
    "The channel to try first": "Der Kanal, der zuerst versucht wird",
    "The clip fills the picture in both directions": "Der Clip füllt das Bild in beiden Richtungen",
    "The clip fills the picture; what is over is cut off": "Der Clip füllt das Bild; was übersteht, wird abgeschnitten",
    "The clip lasts as long as it was made for: frames are shown for longer, no file is added": (
        "Der Clip dauert so lange, wie er gedacht ist: Bilder stehen länger, keine Datei kommt hinzu"
    ),
    "The clip's name in the backend": "Name des Clips im Backend",
    "The clip's own frames; 0: as the style does best": "Die Bilder des Clips; 0: wie der Stil es am besten kann",
    "The clip; empty: the active strip's": "Der Clip; leer: der des aktiven Streifens",
    "The job; empty: all of them": "Der Auftrag; leer: alle",
    "The lowest channel above all strips at that time": "Der unterste Kanal über allen Streifen dieser Zeit",
    "The lowest free channel above the active strip": "Der unterste freie Kanal über dem aktiven Streifen",
    "The nearest size of the scene's shape": "Die nächste Größe von der Form der Szene",
    "The size that the style's models make best": "Die Größe, die die Modelle des Stils am besten machen",
    "The styles are known once the backend has run": "Die Stile sind bekannt, sobald das Backend einmal lief",
    "Wait": "Warten",
    "What the clip must not show": "Was der Clip nicht zeigen darf",
    "What the clip shows, in words": "Was der Clip zeigt, in Worten",
    "Where frames go while the .blend is not saved; empty: a folder of the add-on's own": (
        "Wohin Bilder kommen, solange die .blend-Datei nicht gespeichert ist; leer: ein eigener Ordner des Add-ons"
    ),
    "Where the strip goes": "Wohin der Streifen kommt",
    "Width": "Breite",
    "Width and height": "Breite und Höhe",
    "Width of the clip, in the style's steps": "Breite des Clips, in den Schritten des Stils",
    "Without": "Ohne",
    # What is wrong, and what to do
    "Blender made a strip of another length than asked for.": "Blender hat einen Streifen von anderer Länge gemacht.",
    "Close what else uses it: it ends a minute later. Then press Generate again.": (
        "Schließe, was es sonst benutzt: eine Minute später endet es. Drücke dann noch einmal Erzeugen."
    ),
    "Copied. Paste it into a terminal.": "Kopiert. Füge ihn in ein Terminal ein.",
    "Frames are missing in {folder}.": "In {folder} fehlen Bilder.",
    "Get the same release of both, then run this in a terminal.": (
        "Hole beide in derselben Version und führe dann dies in einem Terminal aus."
    ),
    "Install the same release again.": "Installiere dieselbe Version noch einmal.",
    "Make room, then press Try Again.": "Schaffe Platz und drücke dann Noch einmal versuchen.",
    "No backend is connected.": "Es ist kein Backend verbunden.",
    "No channel is free for {frames} at frame {start}.": "Für {frames} ist bei Bild {start} kein Kanal frei.",
    "Please report what stands in Blender's terminal.": "Bitte melde, was in Blenders Terminal steht.",
    "Press Generate again.": "Drücke noch einmal Erzeugen.",
    "Press Try Again.": "Drücke Noch einmal versuchen.",
    "Run this in a terminal, in the folder of Elevator.": "Führe dies in einem Terminal aus, im Ordner von Elevator.",
    "Run this in a terminal.": "Führe dies in einem Terminal aus.",
    "Save the .blend in a folder that can be written.": "Speichere die .blend-Datei in einem beschreibbaren Ordner.",
    "Select a strip that was generated.": "Wähle einen Streifen, der erzeugt wurde.",
    "Start the backend, which tells them.": "Starte das Backend, das sie nennt.",
    "The backend did not answer the cancel; the job was left to it.": (
        "Das Backend hat auf den Abbruch nicht geantwortet; der Clip wurde ihm überlassen."
    ),
    "The backend does not answer.": "Das Backend antwortet nicht.",
    "The backend does not know this clip any more.": "Das Backend kennt diesen Clip nicht mehr.",
    "The backend does not know this clip. Press Find Clips.": (
        "Das Backend kennt diesen Clip nicht. Drücke Clips finden."
    ),
    "The backend is not installed.": "Das Backend ist nicht installiert.",
    "The backend was stopped.": "Das Backend wurde beendet.",
    "The backend's styles are not known yet.": "Die Stile des Backends sind noch nicht bekannt.",
    "The clips stay where they were.": "Die Clips bleiben, wo sie waren.",
    "The folder {folder} cannot be written: {why}.": "In den Ordner {folder} kann nicht geschrieben werden: {why}.",
    "The folder {folder} is gone.": "Den Ordner {folder} gibt es nicht mehr.",
    "The job was cancelled.": "Der Clip wurde abgebrochen.",
    "The program xdg-open, which opens folders, is not installed: {folder}": (
        "Das Programm xdg-open, das Ordner öffnet, ist nicht installiert: {folder}"
    ),
    "The prompt is empty.": "Der Prompt ist leer.",
    "Wait a minute, then press Start in the panel Backend.": (
        "Warte eine Minute und drücke dann Starten im Bedienfeld Backend."
    ),
    # LoRAs, input, order of the queue, care for files and backend
    "0 keeps the footage, 1 ignores it": "0 behält das Material, 1 beachtet es nicht",
    "A picture file; all other frames follow its look": ("Eine Bilddatei; alle anderen Bilder folgen ihrem Aussehen"),
    "A picture that is frame 0": "Ein Bild, das Bild 0 ist",
    "A picture that the clip begins with": "Ein Bild, mit dem der Clip beginnt",
    "A render is running.": "Es wird gerendert.",
    "A text of Blender's text editor instead of the field, for long prompts": (
        "Ein Text aus Blenders Texteditor statt des Feldes, für lange Prompts"
    ),
    "Add LoRA": "LoRA hinzufügen",
    "Advanced": "Erweitert",
    "An image or movie strip that the clip starts from": "Ein Bild- oder Filmstreifen, von dem der Clip ausgeht",
    "Anchor": "Anker",
    "Anchor File": "Ankerdatei",
    "Change what is named there.": "Ändere, was dort genannt ist.",
    "Check Set-up": "Einrichtung prüfen",
    "Choose an image or movie strip.": "Wähle einen Bild- oder Filmstreifen.",
    "Collect Clips": "Clips einsammeln",
    "Copy frames that lie elsewhere into the folder beside the .blend, and show them from there": (
        "Bilder, die anderswo liegen, in den Ordner neben der .blend-Datei kopieren und von dort zeigen"
    ),
    "Delete the frames beside the .blend that no strip shows, nor any other .blend": (
        "Die Bilder neben der .blend-Datei löschen, die weder ein Streifen noch eine andere .blend-Datei zeigt"
    ),
    "Direction": "Richtung",
    "Every clip beside the .blend is in use, or was since the file was opened.": (
        "Jeder Clip neben der .blend-Datei wird benutzt oder wurde es, seit die Datei offen ist."
    ),
    "First Frame": "Erstes Bild",
    "Footage": "Filmmaterial",
    "Free": "Freigeben",
    "Free Memory": "Speicher freigeben",
    "Generate when it has ended.": "Erzeuge, wenn das fertig ist.",
    "Give a clip that waits another place in the backend's queue": (
        "Einem wartenden Clip einen anderen Platz in der Warteschlange des Backends geben"
    ),
    "Give the memory of models back, on every device that has no job": (
        "Den Speicher der Modelle zurückgeben, auf jedem Gerät ohne Auftrag"
    ),
    "How much the pictures are changed: 0 keeps them, 1 ignores them": (
        "Wie sehr die Bilder verändert werden: 0 behält sie, 1 beachtet sie nicht"
    ),
    "How strongly it shows": "Wie stark es zu sehen ist",
    "Input": "Eingabe",
    "Instead of the style's own": "Statt der des Stils",
    "It comes before the one that is before it": "Er kommt vor den, der vor ihm ist",
    "It comes behind the one that is behind it": "Er kommt hinter den, der hinter ihm ist",
    "It comes next": "Er kommt als Nächster",
    "It was interrupted, and the clip cancelled.": "Es wurde unterbrochen und der Clip abgebrochen.",
    "Let the clip come next": "Den Clip als Nächsten drannehmen",
    "Let the clip come one place earlier": "Den Clip einen Platz früher drannehmen",
    "Let the clip come one place later": "Den Clip einen Platz später drannehmen",
    "LoRA": "LoRA",
    "LoRAs": "LoRAs",
    "Long Prompt": "Langer Prompt",
    "Look at everything that the backend needs, and say what is wrong and what mends it": (
        "Alles ansehen, was das Backend braucht, und sagen, was falsch ist und was es behebt"
    ),
    "Low-Pass": "Tiefpass",
    "Move in Queue": "In der Warteschlange verschieben",
    "Name of a strip whose picture is frame 0": "Name eines Streifens, dessen Bild Bild 0 ist",
    "Name of an image or movie strip that the clip starts from": (
        "Name eines Bild- oder Filmstreifens, von dem der Clip ausgeht"
    ),
    'Names with weights, a JSON object such as {"neon": 0.8}': (
        'Namen mit Gewichten, ein JSON-Objekt wie {"neon": 0.8}'
    ),
    "Nothing is wrong with the set-up.": "An der Einrichtung ist nichts falsch.",
    'Of the plan, a JSON object such as {"steps": 20}': 'Des Plans, ein JSON-Objekt wie {"steps": 20}',
    "On": "An",
    "Open Log": "Protokoll öffnen",
    "Open Log in the panel Backend has all of it; this, in a terminal, says what is wrong.": (
        "Protokoll öffnen im Bedienfeld Backend hat alles; dies, in einem Terminal, sagt, was falsch ist."
    ),
    "Open the file that it is in.": "Öffne die Datei, in der er ist.",
    "Open what the backend has said last, with this computer's program for texts": (
        "Öffnen, was das Backend zuletzt gesagt hat, mit dem Textprogramm dieses Rechners"
    ),
    "Picture": "Bild",
    "Press Try Again when that is mended.": "Drücke Noch einmal versuchen, wenn das behoben ist.",
    "Prompt from Text": "Prompt aus Text",
    "Put a LoRA on top of the style, or give one of the style's own another weight": (
        "Dem Stil ein LoRA hinzufügen, oder einem seiner eigenen ein anderes Gewicht geben"
    ),
    "Put it on the style": "Dem Stil hinzufügen",
    "Put it on; one that the style has is taken away if off": (
        "Hinzufügen; eines, das der Stil hat, wird weggenommen, wenn aus"
    ),
    "Reading the pictures that it starts from": "Die Bilder, von denen er ausgeht, werden gelesen",
    "Remove LoRA": "LoRA entfernen",
    "Remove Unused Clips": "Unbenutzte Clips entfernen",
    "Report": "Bericht",
    "Save the .blend first: its clips lie beside it.": (
        "Speichere zuerst die .blend-Datei: ihre Clips liegen daneben."
    ),
    "Select an image or movie strip.": "Wähle einen Bild- oder Filmstreifen aus.",
    "Settings": "Einstellungen",
    "Start from Its Pictures": "Von seinen Bildern ausgehen",
    "Strength": "Stärke",
    "Strip at Playhead": "Streifen am Abspielkopf",
    "Take the active strip": "Den aktiven Streifen nehmen",
    "Take the line out of the list": "Die Zeile aus der Liste nehmen",
    "The clip begins with this file": "Der Clip beginnt mit dieser Datei",
    "The clip begins with whatever it is": "Der Clip beginnt, womit er will",
    "The clip is made from the strip's pictures at its own frames": (
        "Der Clip entsteht aus den Bildern des Streifens zu den Zeiten seiner eigenen"
    ),
    "The clip's strip is not in this file.": "Der Streifen des Clips ist nicht in dieser Datei.",
    "The job": "Der Auftrag",
    "The report is being written.": "Der Bericht wird geschrieben.",
    "The set-up is being checked.": "Die Einrichtung wird geprüft.",
    "The strip's picture where the clip begins; all other frames follow its look": (
        "Das Bild des Streifens, wo der Clip beginnt; alle anderen folgen seinem Aussehen"
    ),
    "There is no clip.": "Es gibt keinen Clip.",
    "There is no log: no backend has run here.": "Es gibt kein Protokoll: hier lief kein Backend.",
    "There is no other LoRA. They go into the folder loras of the backend's settings.": (
        "Es gibt kein anderes LoRA. Sie gehören in den Ordner loras der Einstellungen des Backends."
    ),
    "This clip does not wait in the queue.": "Dieser Clip wartet nicht in der Warteschlange.",
    "Use Active Strip": "Aktiven Streifen nehmen",
    "Weight": "Gewicht",
    "What smooths the frames before the video model takes over": (
        "Was die Bilder glättet, bevor das Videomodell übernimmt"
    ),
    "What the style's file says": "Was die Datei des Stils sagt",
    "Write Report": "Bericht schreiben",
    "Write a file for a report of a fault, without keys, prompts and names": (
        "Eine Datei für eine Fehlermeldung schreiben, ohne Schlüssel, Prompts und Namen"
    ),
    "No backend is connected. It starts with the first Generate.": (
        "Es ist kein Backend verbunden. Es startet mit dem ersten Erzeugen."
    ),
    # Preferences and takes
    "Choose another in the preferences, or make it in a terminal.": (
        "Wähle ein anderes in den Einstellungen, oder mache es in einem Terminal."
    ),
    "Clips of the same words that one strip can show": "Clips aus denselben Worten, die ein Streifen zeigen kann",
    "Clips, with seeds in a row": "Clips, mit Startwerten der Reihe nach",
    "Default Style": "Stil zu Beginn",
    "End the backend with this Blender, if it was started here and nobody else uses it. Unfinished "
    "clips go on at its next start": (
        "Das Backend mit diesem Blender beenden, wenn es hier gestartet wurde und niemand sonst es "
        "benutzt. Unfertige Clips gehen bei seinem nächsten Start weiter"
    ),
    "Folders of Clips": "Ordner der Clips",
    "GB that models kept between clips may take on a device; 0: half of what it has. Holds from the "
    "backend's next start": (
        "GB, die Modelle zwischen Clips auf einem Gerät behalten dürfen; 0: die Hälfte. Gilt ab dem "
        "nächsten Start des Backends"
    ),
    "Have the backend ready when Blender is": "Das Backend bereit haben, wenn Blender es ist",
    "Let the active strip show its next take": "Den aktiven Streifen seinen nächsten Take zeigen lassen",
    "Make it anew in a terminal.": "Mache es in einem Terminal neu.",
    "Memory for Models": "Speicher für Modelle",
    "Name of the style that new scenes begin with; empty: the backend's first": (
        "Name des Stils, mit dem neue Szenen beginnen; leer: der erste des Backends"
    ),
    "Next Take": "Nächster Take",
    "Open Guide": "Anleitung öffnen",
    "Open the guide for artists that came with the backend": "Die Anleitung öffnen, die mit dem Backend kam",
    "Other Machine": "Anderer Rechner",
    "Profile of a backend on another machine; empty: the backend of this computer": (
        "Profil eines Backends auf einem anderen Rechner; leer: das Backend dieses Rechners"
    ),
    "Select a strip that has several takes.": "Wähle einen Streifen, der mehrere Takes hat.",
    "Start with Blender": "Mit Blender starten",
    "Stop with Blender": "Mit Blender beenden",
    "Takes": "Takes",
    "The clips' folder is shared by all projects: see the add-on's preferences.": (
        "Der Ordner der Clips ist allen Projekten gemeinsam: siehe die Einstellungen des Add-ons."
    ),
    "Where a clip's frames go: // is the folder of the .blend. The last part may hold {prompt}, "
    "{job}, {style} and {seed}": (
        "Wohin die Bilder eines Clips kommen: // ist der Ordner der .blend-Datei. Der letzte Teil darf "
        "{prompt}, {job}, {style} und {seed} enthalten"
    ),
    "Next of {count} Takes": "Nächster von {count} Takes",
    # What is counted and measured
    "How long it takes is known after the first clip of these models.": (
        "Wie lange es dauert, zeigt der erste Clip mit diesen Modellen."
    ),
    "It takes about {time} and {memory} GB of memory.": "Es braucht etwa {time} und {memory} GB Speicher.",
    "It takes about {time}.": "Es braucht etwa {time}.",
    "It takes {memory} GB of memory; how long is known after the first clip.": (
        "Es braucht {memory} GB Speicher; wie lange, zeigt der erste Clip."
    ),
    "never": "nie",
    "once": "einmal",
    "{clips} ({size} MB)": "{clips} ({size} MB)",
    "{count} clip": "{count} Clip",
    "{count} clips": "{count} Clips",
    "{count} job": "{count} Auftrag",
    "{count} jobs": "{count} Aufträge",
    "{count} times": "{count}-mal",
    # What a preset costs
    "A few steps of an image model made for them": "Wenige Schritte eines Bildmodells, das dafür gemacht ist",
    "As the paper has it": "Wie in der Veröffentlichung",
    "Balanced": "Ausgewogen",
    "Draft": "Entwurf",
    "Fast": "Schnell",
    "Nearly as steady": "Fast so ruhig",
    "Published": "Veröffentlicht",
    "Sharp, and less steady: to try a prompt": "Scharf und weniger ruhig: um einen Prompt zu versuchen",
    "Style's Own, {preset}": "Wie der Stil, {preset}",
    "The steadiest": "Am ruhigsten",
    "Turbo": "Turbo",
    "a fifth": "ein Fünftel",
    "a ninth": "ein Neuntel",
    "a quarter": "ein Viertel",
    "a seventh": "ein Siebtel",
    "a sixth": "ein Sechstel",
    "a tenth": "ein Zehntel",
    "a third": "ein Drittel",
    "an eighth": "ein Achtel",
    "half": "die Hälfte",
    "the longest": "am längsten",
    "{preset}: about {time}": "{preset}: etwa {time}",
    "{share} of the longest": "{share} der längsten",
    # Settings of the plan
    "Alike Noise": "Ähnliches Rauschen",
    "File": "Datei",
    "Frames at Once": "Bilder auf einmal",
    "Frames that neighboring windows share": "Bilder, die benachbarte Fenster gemeinsam haben",
    "Frames that the video model sees at once, for long clips": (
        "Bilder, die das Videomodell auf einmal sieht, für lange Clips"
    ),
    "Guidance": "Führung",
    "How alike the frames' starting noise is; 0: unrelated": (
        "Wie ähnlich das Rauschen ist, mit dem die Bilder beginnen; 0: gar nicht"
    ),
    "How closely the image model follows the prompt": "Wie genau das Bildmodell dem Prompt folgt",
    "How closely the video model follows the prompt": "Wie genau das Videomodell dem Prompt folgt",
    "No filter": "Kein Filter",
    "Noise in Steps": "Rauschen in Schritten",
    "Noise in the image model's steps": "Rauschen in den Schritten des Bildmodells",
    "None": "Keiner",
    "Over time alone": "Nur über die Zeit",
    "Over time, and a little in the picture": "Über die Zeit, und ein wenig im Bild",
    "Over time, and more in the picture": "Über die Zeit, und mehr im Bild",
    "Overlap": "Überlappung",
    "Refining Steps": "Glättungsschritte",
    "Reuse Features": "Merkmale wiederverwenden",
    "Set Alike Noise": "Ähnliches Rauschen festlegen",
    "Set Frames at Once": "Bilder auf einmal festlegen",
    "Set Guidance": "Führung festlegen",
    "Set Low-Pass": "Tiefpass festlegen",
    "Set Noise in Steps": "Rauschen in Schritten festlegen",
    "Set Overlap": "Überlappung festlegen",
    "Set Refining Steps": "Glättungsschritte festlegen",
    "Set Reuse Features": "Wiederverwenden von Merkmalen festlegen",
    "Set Steps": "Schritte festlegen",
    "Set Tile": "Kachel festlegen",
    "Set Video Guidance": "Führung im Video festlegen",
    "Set Window": "Fenster festlegen",
    "Side of the tiles in which frames are decoded, pixels, to save memory": (
        "Seite der Kacheln, in denen Bilder dekodiert werden, in Pixeln, um Speicher zu sparen"
    ),
    "Spatial and Temporal": "Räumlich und zeitlich",
    "Steps": "Schritte",
    "Steps of the whole chain: more take longer": "Schritte der ganzen Kette: mehr dauern länger",
    "Steps that the video model takes each time it takes over": (
        "Schritte, die das Videomodell macht, wenn es jeweils übernimmt"
    ),
    "Temporal": "Zeitlich",
    "That the image model sees: fewer take less memory": "Die das Bildmodell sieht: weniger brauchen weniger Speicher",
    "The image model runs whole every so many calls; 1: always": (
        "Das Bildmodell läuft alle so viele Aufrufe ganz; 1: immer"
    ),
    "Tile": "Kachel",
    "Video Guidance": "Führung im Video",
    "Window": "Fenster",
    # Wishes that cannot be granted
    "A clip can have {most} LoRAs in this list.": "Ein Clip kann in dieser Liste {most} LoRAs haben.",
    "A clip cannot have {count} LoRAs.": "Ein Clip kann nicht {count} LoRAs haben.",
    "A clip of {count} frames is not possible with this style.": (
        "Ein Clip mit {count} Bildern ist mit diesem Stil nicht möglich."
    ),
    "A clip of {count} frames is not possible.": "Ein Clip mit {count} Bildern ist nicht möglich.",
    "A height of {pixels} pixels is not possible.": "Eine Höhe von {pixels} Pixeln ist nicht möglich.",
    "A seed of {seed} is not possible.": "Ein Startwert {seed} ist nicht möglich.",
    "A size of {width} × {height} pixels is not possible with this style.": (
        "Eine Größe von {width} × {height} Pixeln ist mit diesem Stil nicht möglich."
    ),
    "A width of {pixels} pixels is not possible.": "Eine Breite von {pixels} Pixeln ist nicht möglich.",
    "Choose between 1 and {most} frames.": "Wähle zwischen 1 und {most} Bildern.",
    "Choose between {least} and {most}.": "Wähle zwischen {least} und {most}.",
    "Choose one of these: {names}.": "Wähle eines davon: {names}.",
    "Choose width and height between {least} and {most} pixels, in steps of {step}.": (
        "Wähle Breite und Höhe zwischen {least} und {most} Pixeln, in Schritten von {step}."
    ),
    "Choose {most} at most.": "Wähle höchstens {most}.",
    "Give a JSON object such as {example}.": "Gib ein JSON-Objekt wie {example}.",
    'Say what should be seen, such as "{example}".': 'Sage, was zu sehen sein soll, etwa "{example}".',
    "Shorten it to {most}.": "Kürze ihn auf {most}.",
    "The argument {name} cannot be read: {error}.": "Das Argument {name} ist nicht lesbar: {error}.",
    "The negative prompt has {count} characters.": "Der negative Prompt hat {count} Zeichen.",
    "The prompt has {count} characters.": "Der Prompt hat {count} Zeichen.",
    'There is no preset "{name}" in this style.': 'In diesem Stil gibt es keine Vorgabe "{name}".',
    'There is no style "{name}".': 'Es gibt keinen Stil "{name}".',
    "This clip cannot be asked for: {error}.": "Um diesen Clip kann nicht gebeten werden: {error}.",
    # LoRAs and what the clip starts from
    "The backend does not list {lora} with this style.": "Das Backend nennt {lora} bei diesem Stil nicht.",
    "The clip needs frames {first} to {last} of the scene, and the strip {strip} has {begin} to "
    "{end}. Move the playhead, or make the clip shorter.": (
        "Der Clip braucht die Bilder {first} bis {last} der Szene, und der Streifen {strip} hat "
        "{begin} bis {end}. Verschiebe den Abspielkopf oder mache den Clip kürzer."
    ),
    "The pictures cannot be read: {sentence}": "Die Bilder können nicht gelesen werden: {sentence}",
    "The pictures cannot be read: {why}.": "Die Bilder können nicht gelesen werden: {why}.",
    "The pictures could not be read (exit code {code}).": "Die Bilder konnten nicht gelesen werden (Exit-Code {code}).",
    "The pictures could not be read: {why}.": "Die Bilder konnten nicht gelesen werden: {why}.",
    "The strip {strip} has no picture at frame {frame}. Move the playhead over it.": (
        "Der Streifen {strip} hat bei Bild {frame} kein Bild. Verschiebe den Abspielkopf über ihn."
    ),
    "The strip {strip} is no image and no movie: choose one of those.": (
        "Der Streifen {strip} ist weder Bild noch Film: wähle einen von diesen."
    ),
    "The strip {strip} is retimed or plays backward: render it to a file first.": (
        "Der Streifen {strip} ist zeitlich verändert oder läuft rückwärts: rendere ihn zuerst in eine Datei."
    ),
    "The strip {strip} waits for its own clip: wait until that is there.": (
        "Der Streifen {strip} wartet auf seinen eigenen Clip: warte, bis der da ist."
    ),
    "The style has {loras}.": "Der Stil hat {loras}.",
    "There is no picture {path}. Choose another one for the first frame.": (
        "Es gibt kein Bild {path}. Wähle ein anderes für das erste Bild."
    ),
    "There is no strip {name}. Choose another one in the panel Input.": (
        "Es gibt keinen Streifen {name}. Wähle einen anderen im Bedienfeld Eingabe."
    ),
    "Words that call it up: {words}": "Worte, die es hervorrufen: {words}",
    "{name} (the style's own)": "{name} (vom Stil selbst)",
    # Where clips go
    "A brace is opened or closed alone.": "Eine Klammer wird nur geöffnet oder nur geschlossen.",
    "Begin with // for the .blend's folder, or with / or a drive.": (
        "Beginne mit // für den Ordner der .blend-Datei, oder mit / oder einem Laufwerk."
    ),
    "Its notes cannot be used: {error}.": "Seine Notizen sind unbrauchbar: {error}.",
    "Leave .. out.": "Lass .. weg.",
    "Name a folder for all clips, and one for each in it, as in {example}.": (
        "Nenne einen Ordner für alle Clips und darin einen für jeden, wie in {example}."
    ),
    "The first frame is no PNG picture.": "Das erste Bild ist kein PNG-Bild.",
    "The last part can become longer than {most} characters: shorten it.": (
        "Der letzte Teil kann länger als {most} Zeichen werden: kürze ihn."
    ),
    'The last part can hold letters, digits, "_" and "-" besides words in braces.': (
        'Der letzte Teil kann außer Worten in Klammern Buchstaben, Ziffern, "_" und "-" enthalten.'
    ),
    "The last part needs {word}, which keeps two clips of one prompt apart.": (
        "Der letzte Teil braucht {word}, was zwei Clips eines Prompts auseinanderhält."
    ),
    "Until then clips go to {folder}.": "Bis dahin kommen Clips nach {folder}.",
    "Words in braces are {words}.": "Worte in Klammern sind {words}.",
    "Words in braces can stand in the last part alone.": "Worte in Klammern können nur im letzten Teil stehen.",
    "{count} frames frame_0001.png … are in there, and a strip shows 1 to {most}.": (
        "Darin sind {count} Bilder frame_0001.png …, und ein Streifen zeigt 1 bis {most}."
    ),
    # Files of clips
    "Copied {clips}.": "Kopiert: {clips}.",
    "Deleted {clips}.": "Gelöscht: {clips}.",
    "Frame {number} cannot be written to {folder}: {why}.": (
        "Bild {number} kann nicht in {folder} geschrieben werden: {why}."
    ),
    "Frame {number} that the backend sent is not a PNG picture.": (
        "Bild {number}, das das Backend geschickt hat, ist kein PNG-Bild."
    ),
    "Only {count} of {frames} came; they are in {folder}.": "Statt {frames} kamen nur {count}; sie sind in {folder}.",
    "The backend sent frame {number} of a clip of {frames}.": (
        "Das Backend hat Bild {number} geschickt, doch der Clip hat {frames}."
    ),
    "The frames are in {folder} instead.": "Die Bilder sind stattdessen in {folder}.",
    "The frames cannot be copied to {folder}: {why}.": "Die Bilder können nicht nach {folder} kopiert werden: {why}.",
    "The frames cannot be copied: {sentence}": "Die Bilder können nicht kopiert werden: {sentence}",
    "The frames of {clips} were not found.": "Die Bilder von {clips} wurden nicht gefunden.",
    "This computer has no program that opens it. It is {path}": (
        "Dieser Rechner hat kein Programm, das es öffnet. Es ist {path}"
    ),
    "a folder on its path does not exist": "ein Ordner des Pfades existiert nicht",
    "it is write-protected": "es ist schreibgeschützt",
    "its path is too long": "der Pfad ist zu lang",
    "the disk is full": "der Datenträger ist voll",
    "{clips} will be deleted.": "Das wird gelöscht: {clips}.",
    "{file} cannot be read, and may show clips: {error}. Nothing was removed.": (
        "{file} kann nicht gelesen werden und zeigt vielleicht Clips: {error}. Es wurde nichts gelöscht."
    ),
    "{path} cannot be read.": "{path} kann nicht gelesen werden.",
    "{path} cannot be read: {why}.": "{path} kann nicht gelesen werden: {why}.",
    "{path} cannot be removed: {why}.": "{path} kann nicht gelöscht werden: {why}.",
    "{path} is damaged.": "{path} ist beschädigt.",
    # What the backend does, and how it was lost
    "Models were read from disk {times}.": "Modelle wurden {times} von der Platte gelesen.",
    "Nothing listens at the backend's address any more.": "An der Adresse des Backends ist nichts mehr.",
    "Press Try Again: a new backend starts.": "Drücke Noch einmal versuchen: ein neues Backend startet.",
    "The add-on made a mistake: {error}.": "Das Add-on hat einen Fehler gemacht: {error}.",
    "The backend has closed the connection or has ended.": "Das Backend hat die Verbindung getrennt oder ist zu Ende.",
    "The backend has ended.": "Das Backend ist zu Ende.",
    "The backend refuses this client: its key is not on the backend's list.": (
        "Das Backend weist dieses Blender ab: sein Schlüssel steht nicht auf der Liste des Backends."
    ),
    "The backend runs but has not answered for some time: it seems to be stuck.": (
        "Das Backend läuft, hat aber eine Weile nicht geantwortet: es scheint festzustecken."
    ),
    "The clip stays in the backend's queue; the panel Finished Clips has it when it is made.": (
        "Der Clip bleibt in der Warteschlange des Backends; wenn er fertig ist, hat ihn das Bedienfeld Fertige Clips."
    ),
    "The connection cannot be opened: {why}.": "Die Verbindung kann nicht aufgebaut werden: {why}.",
    "The connection failed while keys were exchanged.": "Die Verbindung scheiterte beim Austausch der Schlüssel.",
    "This client has closed the connection.": "Dieses Blender hat die Verbindung getrennt.",
    "What listens there does not speak the protocol's encryption.": (
        "Was dort antwortet, kennt die Verschlüsselung des Protokolls nicht."
    ),
    "{count} clips end, also those that are being made.": "{count} Clips enden, auch die, die gerade entstehen.",
    "{device}: makes a clip.": "{device}: macht einen Clip.",
    "{device}: rests, models in memory.": "{device}: ruht, Modelle im Speicher.",
    "{device}: takes no memory.": "{device}: braucht keinen Speicher.",
    "{jobs} of others wait for the next start.": "{jobs} von anderen warten auf den nächsten Start.",
    "{jobs} of others waits for the next start.": "{jobs} von anderen wartet auf den nächsten Start.",
    "{jobs} of yours wait for the next start.": "{jobs} von dir warten auf den nächsten Start.",
    "{jobs} of yours waits for the next start.": "{jobs} von dir wartet auf den nächsten Start.",
    "{mine} of yours and {others} of others wait for the next start.": (
        "{mine} von dir und {others} von anderen warten auf den nächsten Start."
    ),
    "{reason} It was lost {count} times during this clip.": (
        "{reason} Während dieses Clips ging es {count}-mal verloren."
    ),
    # How the backend is had
    "It said nothing.": "Es sagte nichts.",
    "It said: {words}": "Es sagte: {words}",
    "The backend could not be started: {why}.": "Das Backend konnte nicht gestartet werden: {why}.",
    "The backend ended at once (exit code {code}).": "Das Backend war sofort zu Ende (Exit-Code {code}).",
    "The backend is no longer in {folder}.": "Das Backend ist nicht mehr in {folder}.",
    "The backend is version {theirs} and this add-on is {ours}.": (
        "Das Backend ist Version {theirs} und dieses Add-on {ours}."
    ),
    "The backend that runs is version {theirs} and this add-on is {ours}.": (
        "Das laufende Backend ist Version {theirs} und dieses Add-on {ours}."
    ),
    "The backend was not ready within {seconds} seconds.": "Das Backend war nach {seconds} Sekunden noch nicht bereit.",
    "The check of the set-up ended with exit code {code}.": "Die Prüfung der Einrichtung endete mit Exit-Code {code}.",
    "The command {name} could not be started: {why}.": "Der Befehl {name} konnte nicht gestartet werden: {why}.",
    "The report is {file}.": "Der Bericht ist {file}.",
    "The report was not written.": "Der Bericht wurde nicht geschrieben.",
    'There is no profile "{name}".': 'Es gibt kein Profil "{name}".',
    # Models
    "A style is being made of them.": "Aus ihnen wird ein Stil gemacht.",
    "Another command about models runs.": "Ein anderer Befehl zu Modellen läuft.",
    "Blender's Preferences do not allow online access: System, Network, Allow Online Access.": (
        "Blenders Einstellungen erlauben keinen Online-Zugriff: System, Netzwerk, Online-Zugriff erlauben."
    ),
    "Choose a folder.": "Wähle einen Ordner.",
    "Download these models and make a style of them. It can be stopped, and goes on from there another time": (
        "Diese Modelle herunterladen und einen Stil daraus machen. Das lässt sich anhalten und geht ein andermal von"
        " dort weiter"
    ),
    "Get": "Holen",
    "Get Models": "Modelle holen",
    "Go On": "Weiter",
    "It is here.": "Es ist hier.",
    "Look Again": "Neu nachsehen",
    "Look for models in a folder, such as that of another program; nothing is moved or changed there": (
        "In einem Ordner nach Modellen suchen, etwa dem eines anderen Programms; dort wird nichts bewegt oder geändert"
    ),
    "Look in a Folder": "In Ordner suchen",
    "Make a style of these two models. They stay where they are": (
        "Aus diesen beiden Modellen einen Stil machen. Sie bleiben, wo sie sind"
    ),
    "Models": "Modelle",
    "Show Models": "Modelle zeigen",
    "Show which models there are to get, with their size, and which are here": (
        "Zeigen, welche Modelle es zu holen gibt, mit ihrer Größe, und welche hier sind"
    ),
    "Stop it. A download goes on from there another time": (
        "Anhalten. Ein Herunterladen geht ein andermal von dort weiter"
    ),
    "The backend runs on another machine: its models are looked after there.": (
        "Das Backend läuft auf einem anderen Rechner: Um seine Modelle kümmert man sich dort."
    ),
    "The command {name} failed.": "Der Befehl {name} ist gescheitert.",
    "The folder holds no two models that make a style.": "Im Ordner liegen keine zwei Modelle, die einen Stil ergeben.",
    "The folder is being looked through.": "Der Ordner wird durchsucht.",
    "The models are being downloaded.": "Die Modelle werden heruntergeladen.",
    "The models are being listed.": "Die Modelle werden aufgelistet.",
    "Use": "Verwenden",
    "{done} of {total}": "{done} von {total}",
    "{done} of {total}, {left} left": "{done} von {total}, noch {left}",
    "{image} with {motion}": "{image} mit {motion}",
    "{missing} of {size} are missing.": "{missing} von {size} fehlen.",
    "{size} are downloaded from the model hub.": "{size} werden vom Modell-Hub heruntergeladen.",
    "{size}, for graphics cards of {memory} GB.": "{size}, für Grafikkarten mit {memory} GB.",
    # Styles
    "A sentence about the style": "Ein Satz über den Stil",
    "A style of your own.": "Ein eigener Stil.",
    "An artist's words stand in front: write {place} where they go.": (
        "Die eigenen Worte stehen vorn: schreib {place} dorthin, wo sie hingehören."
    ),
    "Another command about styles runs.": "Ein anderer Befehl zu Stilen läuft.",
    "Base": "Grundlage",
    "Change the chosen style: its words, LoRAs, quality and base. Of one that comes with the backend, a copy": (
        "Den gewählten Stil ändern: seine Worte, LoRAs, Qualität und Grundlage. Von einem, der mit dem Backend"
        " kommt, eine Kopie"
    ),
    "Choose LoRA File": "LoRA-Datei wählen",
    "Choose a file.": "Wähle eine Datei.",
    "Delete Style": "Stil löschen",
    "Delete the chosen style and its picture. Its models, and the clips made in it, stay": (
        "Den gewählten Stil und sein Bild löschen. Seine Modelle und die Clips, die darin entstanden sind, bleiben"
    ),
    "Description": "Beschreibung",
    "Discard": "Verwerfen",
    "Edit Style": "Stil ändern",
    "Example": "Beispiel",
    "Give the style a title.": "Gib dem Stil einen Titel.",
    "Have the backend make a small clip of the style's example, and show a frame of it beside the style": (
        "Das Backend einen kleinen Clip vom Beispiel des Stils machen lassen und ein Bild daraus neben dem Stil zeigen"
    ),
    "How much work goes into a clip in this style": "Wie viel Arbeit in einen Clip in diesem Stil geht",
    "It comes with the backend.": "Er kommt mit dem Backend.",
    "Keep what Look and Advanced set as a style of your own, on top of the chosen one": (
        "Was unter Aussehen und Erweitert eingestellt ist, auf dem gewählten Stil als eigenen Stil behalten"
    ),
    "Leave the style as it was": "Den Stil lassen, wie er war",
    "Make Picture": "Bild machen",
    "My {style}": "Mein {style}",
    "New Style": "Neuer Stil",
    "Put a LoRA that the backend lists on the style": "Eine LoRA, die das Backend auflistet, auf den Stil legen",
    "Put a LoRA's file on the style. It stays where it is": (
        "Die Datei einer LoRA auf den Stil legen. Sie bleibt, wo sie ist"
    ),
    "Put it on; one that is off can be put on for a clip": (
        "Auflegen; eine ausgeschaltete kann für einen Clip aufgelegt werden"
    ),
    "Save Style": "Stil speichern",
    "Stop it": "Anhalten",
    "Styles": "Stile",
    "Take the LoRA off the style": "Die LoRA vom Stil nehmen",
    "The backend has not told of its styles yet.": "Das Backend hat noch nichts von seinen Stilen gesagt.",
    "The backend lists no other LoRA with this style. Choose its file instead.": (
        "Das Backend listet keine andere LoRA mit diesem Stil auf. Wähle stattdessen ihre Datei."
    ),
    "The backend runs on another machine: its styles are looked after there.": (
        "Das Backend läuft auf einem anderen Rechner: Um seine Stile kümmert man sich dort."
    ),
    "The style is being deleted.": "Der Stil wird gelöscht.",
    "The style is being read.": "Der Stil wird gelesen.",
    "The style is being written.": "Der Stil wird geschrieben.",
    "The style {style} is deleted. Its models stay.": "Der Stil {style} wird gelöscht. Seine Modelle bleiben.",
    "The style's picture is being made.": "Das Bild des Stils wird gemacht.",
    "The two models that make the style's clips": "Die beiden Modelle, die die Clips des Stils machen",
    "This style comes with the backend. Make a new one like it.": (
        "Dieser Stil kommt mit dem Backend. Mach einen neuen wie ihn."
    ),
    "Title": "Titel",
    "What clips in this style must not show": "Was in Clips dieses Stils nicht zu sehen sein darf",
    "What goes around an artist's words, which stand where {prompt} is": (
        "Was um die eigenen Worte herum steht, die bei {prompt} hinkommen"
    ),
    "What the style is called": "Wie der Stil heißt",
    "Where its file is; empty: in the folder of the style's base": (
        "Wo ihre Datei liegt; leer: im Ordner der Grundlage des Stils"
    ),
    "Words that the style knows well, such as for its picture": "Worte, die der Stil gut kennt, etwa für sein Bild",
    "Write the style. The next clip in it is made so": "Den Stil schreiben. Der nächste Clip darin wird so gemacht",
    # Model files
    "All files are as they came: {count}.": "Alle Dateien sind, wie sie kamen: {count}.",
    "Another set that is here needs all of these files: nothing was deleted.": (
        "Ein anderer Satz, der hier ist, braucht alle diese Dateien: Nichts wurde gelöscht."
    ),
    "Check Files": "Dateien prüfen",
    "Delete Models": "Modelle löschen",
    "Delete these models, but for what another set needs. Clips and styles stay; they can be got again": (
        "Diese Modelle löschen, bis auf das, was ein anderer Satz braucht. Clips und Stile bleiben; Modelle"
        " lassen sich wieder holen"
    ),
    "Download again what is damaged or missing of the model files": (
        "Noch einmal herunterladen, was an den Modelldateien beschädigt ist oder fehlt"
    ),
    "Files that were got again: {count}.": "Noch einmal geholte Dateien: {count}.",
    "Model Files": "Modelldateien",
    "Model files are being deleted.": "Modelldateien werden gelöscht.",
    "Nothing was got yet.": "Es wurde noch nichts geholt.",
    "Pack for Another Machine": "Für anderen Rechner packen",
    "Read all model files that were got, and compare them with their hashes": (
        "Alle geholten Modelldateien lesen und mit ihren Prüfsummen vergleichen"
    ),
    "Repair Files": "Dateien reparieren",
    "Take In a Pack": "Ein Paket aufnehmen",
    "Take in models and styles that another machine has packed. What is here already stays": (
        "Modelle und Stile aufnehmen, die ein anderer Rechner gepackt hat. Was schon hier ist, bleibt"
    ),
    "The model files are being checked and mended.": "Die Modelldateien werden geprüft und repariert.",
    "The model files are being checked.": "Die Modelldateien werden geprüft.",
    "The models are being packed.": "Die Modelle werden gepackt.",
    "The models are being taken in.": "Die Modelle werden aufgenommen.",
    "Up to {size} are deleted. Styles that use them make no clips then.": (
        "Bis zu {size} werden gelöscht. Stile, die sie verwenden, machen dann keine Clips."
    ),
    "Write all models that were got, and your own styles, into a file for another machine": (
        "Alle geholten Modelle und die eigenen Stile in eine Datei für einen anderen Rechner schreiben"
    ),
    "{size} are new here.": "{size} sind hier neu.",
    "{size} are packed in {path}.": "{size} sind in {path} gepackt.",
    "{size} were deleted.": "{size} wurden gelöscht.",
    # What the backend's own styles are
    "Dark pencil lines and light shading on cream paper.": (
        "Dunkle Bleistiftlinien, leicht schattiert, auf Cremepapier."
    ),
    "Glowing outlines in bright colours on a dark ground.": "Leuchtende Umrisse in hellen Farben auf dunklem Grund.",
    "Large square pixels in few colours.": "Große quadratische Bildpunkte in wenigen Farben.",
    "No style on top; the image model is distilled to a few steps, and quick.": (
        "Ohne Stil darauf; das Bildmodell ist auf wenige Schritte destilliert und schnell."
    ),
    "No style on top; the motion comes from modules inside the image model.": (
        "Ohne Stil darauf; die Bewegung kommt aus Modulen im Bildmodell."
    ),
    "The models as they are, without a style on top.": "Die Modelle, wie sie sind, ohne Stil darauf.",
}
