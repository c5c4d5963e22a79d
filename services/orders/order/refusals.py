"""The refusals: every code with its sentence in English and Indonesian, and its HTTP status (RF-1, RF-2).

A code is stable: its meaning never changes; a new meaning gets a new code. The English sentences are those
of 4.2 to the letter. Codes that another page defines and a command passes on (RF-3) stand at the end.
"""

from msgspec import Struct


class RefusalCode(Struct, frozen=True):
    """A code with what people read and what HTTP answers; `on_input` marks what the checks of input find."""

    code: str
    en: str
    id: str
    http: int = 409
    on_input: bool = False

    @property
    def sentence(self) -> dict[str, str]:
        """The sentence by language, as problem+json carries it."""
        return {"en": self.en, "id": self.id}


_ALL = (
    RefusalCode("ORDER_NOT_FOUND", "There is no such order.", "Pesanan ini tidak ada.", http=404),
    RefusalCode(
        "NOT_PERMITTED",
        "Your role may not give this command.",
        "Peran Anda tidak boleh memberi perintah ini.",
        http=403,
    ),
    RefusalCode(
        "KEY_REUSED",
        "This idempotency key was used for a different request.",
        "Kunci idempotensi ini sudah dipakai untuk permintaan lain.",
        http=422,
    ),
    RefusalCode(
        "SEQUENCE_CONFLICT",
        "The order has changed since you read it; read it again.",
        "Pesanan sudah berubah sejak Anda membacanya; baca lagi.",
        http=412,
    ),
    RefusalCode(
        "FIELD_INVALID",
        "The named field is missing or not valid.",
        "Isian yang disebut kosong atau tidak sah.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "TOO_MANY_ORDERS",
        "A bulk command takes at most 1,000 orders.",
        "Perintah massal menerima paling banyak 1.000 pesanan.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "NO_LINES",
        "An order needs at least one product.",
        "Pesanan memerlukan sedikitnya satu produk.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "QUANTITY_INVALID",
        "The quantity must be a whole number of at least 1.",
        "Jumlah harus bilangan bulat, sedikitnya 1.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "PRICE_INVALID",
        "Prices, discounts and fees must be whole rupiah, and a discount may not exceed what it reduces.",
        "Harga, diskon, dan biaya harus rupiah bulat, dan diskon tidak boleh melebihi yang dikuranginya.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "CUSTOMER_INCOMPLETE",
        "The customer needs a name, a phone number and an address.",
        "Pelanggan memerlukan nama, nomor telepon, dan alamat.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "SHIPPING_INCOMPLETE",
        "Choose courier, service, destination and shipping fee first.",
        "Pilih dahulu kurir, layanan, tujuan, dan biaya kirim.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "METHOD_UNKNOWN",
        "Choose one of the payment methods the seller offers.",
        "Pilih salah satu metode pembayaran yang ditawarkan penjual.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "AMOUNT_NOT_POSITIVE",
        "The amount must be at least Rp1.",
        "Jumlah uang harus sedikitnya Rp1.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "NO_LINKED_PRODUCT",
        "The product is not linked to the chosen warehouse; link it first.",
        "Produk belum ditautkan ke gudang yang dipilih; tautkan dahulu.",
    ),
    RefusalCode(
        "TOTAL_NOT_POSITIVE", "The order total must be at least Rp1.", "Total pesanan harus sedikitnya Rp1."
    ),
    RefusalCode(
        "STOCK_NOT_AVAILABLE",
        "There is not enough stock to reserve; reduce the quantity or allow a back-order.",
        "Stok yang dapat dipesan tidak cukup; kurangi jumlahnya atau izinkan pesanan tertunda (back-order).",
    ),
    RefusalCode("ORDER_IS_CANCELLED", "The order is cancelled.", "Pesanan sudah dibatalkan."),
    RefusalCode("ORDER_IS_COMPLETED", "The order is completed.", "Pesanan sudah selesai."),
    RefusalCode("NOT_COMPLETED", "The order is not completed yet.", "Pesanan belum selesai."),
    RefusalCode(
        "CANCELLATION_REQUEST_OPEN",
        "The buyer has asked to cancel; cancel the order or refuse the request first.",
        "Pembeli meminta pembatalan; batalkan pesanan atau tolak permintaannya dahulu.",
    ),
    RefusalCode("ALREADY_CONFIRMED", "The order is already confirmed.", "Pesanan sudah dikonfirmasi."),
    RefusalCode("NOT_CONFIRMED", "The order is not confirmed yet.", "Pesanan belum dikonfirmasi."),
    RefusalCode(
        "ORDER_ON_HOLD", "The order is on hold; release it first.", "Pesanan sedang ditahan; lepaskan dahulu."
    ),
    RefusalCode(
        "NEGOTIATION_OPEN",
        "A price negotiation is open; answer the offer first.",
        "Negosiasi harga masih berjalan; jawab tawarannya dahulu.",
    ),
    RefusalCode(
        "BUYER_CONSENT_NEEDED",
        "After the failed negotiation the buyer must agree to the list price first.",
        "Setelah negosiasi gagal, pembeli harus menyetujui harga daftar dahulu.",
    ),
    RefusalCode(
        "NOTHING_TO_REOPEN",
        "The order is neither cancelled nor asked to be cancelled.",
        "Pesanan tidak dibatalkan dan tidak diminta pembatalannya.",
    ),
    RefusalCode(
        "CANCELLED_BY_CHANNEL",
        "The marketplace cancelled this order; it cannot be reopened.",
        "Pesanan ini dibatalkan oleh marketplace dan tidak dapat dibuka kembali.",
    ),
    RefusalCode("IN_SHIPPING", "The goods have entered shipping.", "Barang sudah masuk pengiriman."),
    RefusalCode("NOT_IN_SHIPPING", "Nothing has been booked with a courier.", "Belum ada pemesanan kurir."),
    RefusalCode(
        "ALREADY_PICKED_UP", "The courier has already taken the package.", "Paket sudah diambil kurir."
    ),
    RefusalCode(
        "AWB_MISSING",
        "The booking has no AWB number yet; wait for it or for the booking to fail.",
        "Pemesanan kurir belum memiliki nomor resi; tunggu nomornya terbit atau pemesanannya gagal.",
    ),
    RefusalCode("ALREADY_PREPARED", "The goods are already prepared.", "Barang sudah disiapkan."),
    RefusalCode("NOT_PREPARED", "The goods are not prepared yet.", "Barang belum disiapkan."),
    RefusalCode("NOT_DELIVERED", "Not everything has arrived yet.", "Belum semuanya tiba."),
    RefusalCode(
        "RETURN_IN_PROGRESS", "The goods are on their way back.", "Barang sedang dalam perjalanan kembali."
    ),
    RefusalCode(
        "FULFILMENT_FINAL",
        "The goods were lost or returned; record extra money or a credit instead.",
        "Barang hilang atau dikembalikan; catat penerimaan lebih atau kredit sebagai gantinya.",
    ),
    RefusalCode(
        "QUANTITY_NOT_AVAILABLE",
        "The quantity is larger than what is left of this line.",
        "Jumlahnya lebih besar daripada sisa baris ini.",
    ),
    RefusalCode(
        "LAST_LINE",
        "This would empty the order; cancel the order instead.",
        "Ini akan mengosongkan pesanan; batalkan pesanannya saja.",
    ),
    RefusalCode("RETURN_WINDOW_CLOSED", "The time for returns is over.", "Masa pengembalian sudah lewat."),
    RefusalCode(
        "CASE_OPEN",
        "A return case is already open for these goods.",
        "Kasus retur untuk barang ini sudah terbuka.",
    ),
    RefusalCode("NO_CASE", "There is no open return case.", "Tidak ada kasus retur yang terbuka."),
    RefusalCode(
        "COD_ORDER",
        "A COD order is paid to the courier; change the payment method first.",
        "Pesanan COD dibayar kepada kurir; ubah metode pembayarannya dahulu.",
    ),
    RefusalCode("NOT_COD_ORDER", "This is not a COD order.", "Ini bukan pesanan COD."),
    RefusalCode("ALREADY_PAID", "The order is already paid in full.", "Pesanan sudah lunas."),
    RefusalCode("NOTHING_PAID", "No payment has been confirmed.", "Belum ada pembayaran yang dikonfirmasi."),
    RefusalCode(
        "PAYMENT_INCOMPLETE",
        "The order is not paid in full and no issued bill stands for it.",
        "Pesanan belum lunas dan tidak ada tagihan terbit yang menjaminnya.",
    ),
    RefusalCode(
        "PAYMENT_RUNNING",
        "A payment is being processed; try again when it has ended.",
        "Pembayaran sedang diproses; coba lagi setelah selesai.",
    ),
    RefusalCode(
        "PAYMENT_UNALLOCATED",
        "A succeeded payment is not allocated yet; allocate it first.",
        "Pembayaran yang berhasil belum dialokasikan; alokasikan dahulu.",
    ),
    RefusalCode(
        "PAYMENT_RECORDED",
        "A payment is recorded; reverse it first.",
        "Sudah ada pembayaran yang tercatat; batalkan konfirmasinya dahulu.",
    ),
    RefusalCode(
        "RECEIPT_NOT_REVERSIBLE",
        "Only a payment confirmed by hand can be reversed; refund this one.",
        "Hanya pembayaran yang dikonfirmasi dengan tangan dapat dibatalkan; kembalikan dana yang ini.",
    ),
    RefusalCode(
        "AMOUNT_MISMATCH",
        "The amount differs from the succeeded payment that is to be allocated.",
        "Jumlahnya berbeda dari pembayaran berhasil yang akan dialokasikan.",
    ),
    RefusalCode(
        "METHOD_LOCKED",
        "The payment method cannot change once money or a bill exists.",
        "Metode pembayaran tidak dapat diubah setelah ada uang atau tagihan.",
    ),
    RefusalCode(
        "USE_CONFIRM_PAYMENT",
        "The order still awaits money; confirm the payment instead.",
        "Pesanan masih menunggu uang; konfirmasi pembayarannya saja.",
    ),
    RefusalCode("NOTHING_TO_REFUND", "No refund is due.", "Tidak ada dana yang harus dikembalikan."),
    RefusalCode(
        "REFUND_EXCEEDS_DUE",
        "The amount is larger than the refund due.",
        "Jumlahnya lebih besar daripada dana yang harus dikembalikan.",
    ),
    RefusalCode(
        "NOTHING_TO_CREDIT",
        "There are no lost, returned or completed goods to credit.",
        "Tidak ada barang hilang, kembali, atau selesai yang dapat dikreditkan.",
    ),
    RefusalCode(
        "CREDIT_EXCEEDS_VALUE",
        "The credit is larger than what is still payable for these goods and their fees.",
        "Kredit lebih besar daripada yang masih harus dibayar untuk barang ini dan biayanya.",
    ),
    RefusalCode(
        "ALREADY_REMITTED",
        "The COD cash of this package is already recorded as remitted.",
        "Uang COD paket ini sudah tercatat disetor.",
    ),
    RefusalCode("NOT_INVOICE_ORDER", "This is not an invoice (tempo) order.", "Ini bukan pesanan tempo."),
    RefusalCode(
        "BILL_EXISTS",
        "The order has a bill; void it first.",
        "Pesanan sudah memiliki tagihan; batalkan tagihannya dahulu.",
    ),
    RefusalCode("NO_BILL", "The order has no bill.", "Pesanan tidak memiliki tagihan."),
    RefusalCode(
        "BILL_ALREADY_ISSUED",
        "The bill is already issued; void and reissue it.",
        "Tagihan sudah terbit; batalkan lalu terbitkan lagi.",
    ),
    RefusalCode(
        "BILL_HAS_PAYMENT",
        "The bill is partly or fully paid; reverse the payment first.",
        "Tagihan sudah dibayar sebagian atau seluruhnya; batalkan pembayarannya dahulu.",
    ),
    RefusalCode(
        "DOCUMENTS_INCOMPLETE",
        "The seller's documents (NPWP, KTP) are incomplete.",
        "Dokumen penjual (NPWP, KTP) belum lengkap.",
    ),
    RefusalCode(
        "CHANNEL_OWNED",
        "The marketplace owns this part of the order; change it there.",
        "Bagian pesanan ini milik marketplace; ubah di sana.",
    ),
    RefusalCode(
        "ACTION_NOT_SUPPORTED",
        "This marketplace offers no such action.",
        "Marketplace ini tidak menyediakan tindakan itu.",
    ),
    RefusalCode(
        "ACTION_IN_FLIGHT",
        "The same action is already on its way to the marketplace.",
        "Tindakan yang sama sedang dikirim ke marketplace.",
    ),
    RefusalCode("NOT_CHANNEL_ORDER", "This is not a marketplace order.", "Ini bukan pesanan marketplace."),
    RefusalCode(
        "NO_CONFLICT",
        "The order and the marketplace do not disagree.",
        "Pesanan dan marketplace tidak bertentangan.",
    ),
    RefusalCode(
        "READ_TOO_OLD",
        "The marketplace reading is older than the latest news; read it again.",
        "Bacaan dari marketplace lebih lama daripada kabar terakhir; baca lagi.",
    ),
    RefusalCode(
        "CONTACT_UNAVAILABLE",
        "There is no usable contact for this buyer.",
        "Tidak ada kontak pembeli ini yang dapat dipakai.",
    ),
    RefusalCode(
        "CONTACT_NOT_PERMITTED",
        "The buyer or the marketplace does not permit this contact.",
        "Pembeli atau marketplace tidak mengizinkan kontak ini.",
    ),
    RefusalCode(
        "AGENT_UNKNOWN",
        "There is no such active agent of this seller.",
        "Penjual ini tidak memiliki agen aktif seperti itu.",
    ),
    RefusalCode(
        "TAG_INVALID",
        "A tag has 1 to 40 visible characters.",
        "Tag terdiri atas 1 sampai 40 karakter yang terlihat.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "TOO_MANY_TAGS",
        "An order has at most 20 tags.",
        "Satu pesanan memiliki paling banyak 20 tag.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "NOTHING_SELECTED",
        "Select at least one order.",
        "Pilih sedikitnya satu pesanan.",
        http=422,
        on_input=True,
    ),
    RefusalCode(
        "SELECTION_INVALID",
        "Some selected orders do not exist.",
        "Sebagian pesanan yang dipilih tidak ada.",
        http=422,
        on_input=True,
    ),
    RefusalCode("TEMPLATE_UNKNOWN", "There is no such export template.", "Template ekspor itu tidak ada."),
    RefusalCode(
        "TEMPLATE_INVALID",
        "The template names an unknown column, or none.",
        "Template menyebut kolom yang tidak dikenal, atau tidak menyebut kolom sama sekali.",
        http=422,
        on_input=True,
    ),
    RefusalCode("EXPORT_NOT_READY", "The export is not finished yet.", "Ekspor belum selesai."),
    RefusalCode(
        "EXPORT_EXPIRED",
        "The file has been removed; make a new export.",
        "Berkasnya sudah dihapus; buat ekspor baru.",
    ),
    RefusalCode(
        "SHOP_DELETED",
        "The shop of this order has been deleted; the order takes no more commands.",
        "Toko pesanan ini sudah dihapus; pesanan tidak menerima perintah lagi.",
    ),
    RefusalCode(
        "SIDE_EFFECTS_NOT_ACKNOWLEDGED",
        "This has further effects at the marketplace; read them and say yes to them first.",
        "Tindakan ini membawa akibat lain di marketplace; baca dan setujui dahulu.",
    ),
)

CODES = {code.code: code for code in _ALL}
