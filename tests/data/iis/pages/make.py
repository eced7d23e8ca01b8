#!/usr/bin/env python3
"""Makes the pages of this folder: the structure and the short fixed strings of the real ones, filler of our own.

The structure is that of docs on detailed errors and of decoded public samples: element ids, the order of rows, the link
at the foot, the padding of values. Sentences are ours. Lengths of HTTP.sys's pages and of the custom page are the real ones.
"""
import gzip
import pathlib

HERE = pathlib.Path(__file__).parent


def filled(begin, end, size):
    return begin + " " * (size - len(begin) - len(end)) + end


def http_sys(title, line, size):
    begin = ('<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN""http://www.w3.org/TR/html4/strict.dtd">\r\n'
             f'<HTML><HEAD><TITLE>{title}</TITLE></HEAD>\r\n<BODY><h2>{title}</h2>\r\n<hr><p>{line}</p>\r\n')
    return filled(begin, "</BODY></HTML>\r\n", size)


def custom(title, size=None):
    begin = ('<html>\r\n<head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"/>\r\n'
             f'<title>{title}</title>\r\n<style>body{{margin:0}}</style>\r\n</head>\r\n<body>\r\n<h1>Made for a test</h1>\r\n'
             f'<h2>{title}</h2>\r\n<h3>The site of this test does not know you.</h3>\r\n')
    end = "</body>\r\n</html>\r\n"
    return filled(begin, end, size) if size else begin + end


def detailed(title, heading, labels, values, code, link, old=False, extra=()):
    pad = "" if old else "&nbsp;&nbsp;&nbsp;"

    def rows(pairs):
        return "".join(f'    <tr{" class=" + chr(34) + "alt" + chr(34) if n % 2 == 0 else ""}><th>{label}</th>'
                       f"<td>{pad}{value}</td></tr>\r\n" for n, (label, value) in enumerate(pairs))

    left = list(zip(labels[:4], values[:3] + [code])) + list(extra)
    right = list(zip(labels[4:], values[3:]))
    if old:
        head = f"<fieldset><legend>{labels[0]}?</legend>\r\n <h2>{heading}</h2>\r\n</fieldset>\r\n"
    else:
        head = f"<h3>{heading}</h3>\r\n<h4>Filler.</h4>\r\n"
    return (f'<!DOCTYPE html>\r\n<html>\r\n<head>\r\n<title>{title}</title>\r\n<style>\r\n{"/* filler */ " * 60}\r\n</style>\r\n'
            f'</head>\r\n<body>\r\n<div id="content">\r\n{head}'
            f'<div id="details-left">\r\n  <table border="0" cellpadding="0" cellspacing="0">\r\n{rows(left)}  </table>\r\n</div>\r\n'
            f'<div id="details-right">\r\n  <table border="0" cellpadding="0" cellspacing="0">\r\n{rows(right)}  </table>\r\n</div>\r\n'
            f'<p>{"Filler. " * 40}<a href="https://go.microsoft.com/fwlink/?LinkID=62293&amp;IIS70Error={link}">...</a></p>\r\n'
            "</div>\r\n</body>\r\n</html>\r\n")


EN = ["Module", "Notification", "Handler", "Error Code", "Requested URL", "Physical Path", "Logon Method", "Logon User"]
DE = ["Modul", "Benachrichtigung", "Handler", "Fehlercode", "Angeforderte URL", "Physikalischer Pfad",
      "Anmeldemethode", "Angemeldeter Benutzer"]
RU = ["Модуль", "Уведомление", "Обработчик", "Код ошибки", "Запрошенный URL-адрес", "Физический путь",
      "Метод входа", "Пользователь, выполнивший вход"]
URL = "https://intranet.example.test:443/app/?ticket=planted-secret"
PATH = r"C:\inetpub\planted-path\app"
NOT_YET = ["Not yet determined"] * 2

pages = {
    "http-sys-401": http_sys("Not Authorized", "HTTP Error 401. The requested resource requires user authentication.", 341),
    "http-sys-400": http_sys("Bad Request - Request Too Long",
                             "HTTP Error 400. The size of the request headers is too long.", 346),
    "custom-401": custom("401 - Unauthorized: Access is denied due to invalid credentials.", 1293),
    "custom-401-german": custom("401 - Nicht erlaubt: Dieser Satz steht nur im Test."),
    "detailed-7.5-401.3": detailed(
        "IIS 7.5 Detailed Error - 401.3 - Unauthorized", "HTTP Error 401.3 - Unauthorized", EN,
        ["IIS Web Core", "AuthenticateRequest", "StaticFile", URL, PATH, "Negotiate", r"EXAMPLE\alice"],
        "0x80070005", "401,3,0x80070005,7601", old=True),
    "detailed-8.5-401.1": detailed(
        "IIS 8.5 Detailed Error - 401.1 - Unauthorized", "HTTP Error 401.1 - Unauthorized", EN,
        ["WindowsAuthenticationModule", "AuthenticateRequest", "ExtensionlessUrlHandler-Integrated-4.0", URL, PATH] + NOT_YET,
        "0x80090308", "401,1,0x80090308,9600"),
    "detailed-10-401.2": detailed(
        "IIS 10.0 Detailed Error - 401.2 - Unauthorized", "HTTP Error 401.2 - Unauthorized", EN,
        ["IIS Web Core", "AuthenticateRequest", "StaticFile", URL, PATH] + NOT_YET,
        "0x80070005", "401,2,0x80070005,17763"),
    "detailed-10-401.2-russian": detailed(
        "Подробности об ошибке IIS 10.0 — 401.2 — Unauthorized", "Ошибка HTTP 401.2 — Unauthorized", RU,
        ["IIS Web Core", "AuthenticateRequest", "StaticFile", URL, PATH] + ["Пока неизвестно"] * 2,
        "0x80070005", "401,2,0x80070005,14393"),
    "detailed-10-500.19-german": detailed(
        "IIS 10.0 - ausf&#252;hrlicher Fehler - 500.19 - Internal Server Error", "HTTP-Fehler 500.19 - Internal Server Error", DE,
        ["IIS Web Core", "BeginRequest", "Noch nicht ermittelt", URL, PATH] + ["Noch nicht ermittelt"] * 2,
        "0x80070021", "500,19,0x80070021,20348",
        extra=[("Konfigurationsfehler", "Ein Satz."), ("Konfigurationsdatei", PATH)]),
    "application": "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h2>Who are you?</h2>"
                   + "<p>An application of this test.</p>" * 40 + "</body></html>",
}
for name, text in pages.items():
    (HERE / f"{name}.html").write_bytes(text.encode())
(HERE / "detailed-10-401.2.html.gz").write_bytes(gzip.compress(pages["detailed-10-401.2"].encode(), mtime=0))
