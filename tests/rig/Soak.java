import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A real client: Java's HttpURLConnection, which speaks NTLM, Digest and Basic by itself and keeps its connections in a
 * pool of its own.
 *
 * <p>Arguments: URL of a directory, user, password, threads, requests of each thread, and optionally a PEM file of the
 * authority that the server's certificate is checked against. Every tenth request of a thread has a body. Prints one
 * status a line.
 */
public final class Soak {
    public static void main(String[] arguments) throws Exception {
        String site = arguments[0];
        PasswordAuthentication account = new PasswordAuthentication(arguments[1], arguments[2].toCharArray());
        int clients = Integer.parseInt(arguments[3]);
        int requests = Integer.parseInt(arguments[4]);
        if (arguments.length > 5) {
            trust(arguments[5]);
        }
        Authenticator.setDefault(new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return account;
            }
        });
        List<Thread> threads = new ArrayList<>();
        for (int client = 0; client < clients; client++) {
            Thread thread = new Thread(() -> {
                for (int request = 1; request <= requests; request++) {
                    System.out.println(ask(site, request % 10 == 0));
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private static int ask(String site, boolean upload) {
        try {
            URI asked = URI.create(site + (upload ? "upload" : "page"));
            HttpURLConnection connection = (HttpURLConnection) asked.toURL().openConnection();
            connection.setReadTimeout(60_000);
            if (upload) {
                connection.setDoOutput(true);
                try (OutputStream body = connection.getOutputStream()) {
                    body.write(new byte[20_000]);
                }
            }
            int status = connection.getResponseCode();
            try (InputStream body = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
                body.readAllBytes(); // Read to the end: only then does the connection go back to the pool.
            }
            return status;
        } catch (Exception error) {
            error.printStackTrace();
            System.exit(1);
            return 0;
        }
    }

    private static void trust(String authority) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream pem = new FileInputStream(authority)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trusted.getTrustManagers(), null);
        HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
    }
}
