if(TARGET ringtap_xdp)
  ringtap_test(afxdp SERIAL SOURCES ${CMAKE_SOURCE_DIR}/native/test/afxdp_test.cc LINK ringtap_backend_afxdp ringtap_test_traffic Threads::Threads)
  ringtap_test(ebpf SOURCES ${CMAKE_SOURCE_DIR}/native/test/ebpf_test.cc LINK ringtap_xdp ringtap_libpcap ${CMAKE_DL_LIBS})
endif()
